package gridengine

import (
	"flag"
	"os"
	"testing"
)

// TestMain runs more tests at a time than there are CPUs: what they do most is
// to wait for a scheduler that looks once a second.
func TestMain(m *testing.M) {
	flag.Parse()
	if err := flag.Set("test.parallel", "4"); err != nil {
		panic(err)
	}
	os.Exit(m.Run())
}
