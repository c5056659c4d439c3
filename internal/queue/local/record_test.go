package local

import (
	"encoding/json"
	"os"
	"testing"
)

func FuzzVerbatim(f *testing.F) {
	for _, seed := range []string{"", "plain", "two\nlines", `"quoted" \back`, "\xff\xfe\x00", "☃ </script>", "\u2028"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		text, err := json.Marshal(verbatim(s))
		if err != nil {
			t.Fatal(err)
		}
		var back verbatim
		if err := json.Unmarshal(text, &back); err != nil || string(back) != s {
			t.Errorf("%q came back as %q, %v, by way of %s", s, back, err, text)
		}
	})
}

func FuzzStat(f *testing.F) {
	self, err := os.ReadFile("/proc/self/stat")
	if err != nil {
		f.Fatal(err)
	}
	for _, seed := range []string{
		string(self), "", ")(", "1 (a) b)\n) Z 7 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 99",
		"1 (x) S", "x (x) S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		if st, err := parseStat(text); err != nil && st != (procStat{}) {
			t.Errorf("an error and %+v", st)
		}
	})
}

func TestParseStatKnowsHostileNames(t *testing.T) {
	t.Parallel()
	st, err := parseStat([]byte("12 (a) R 1\n) Z 7 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 99 0"))
	if err != nil || st.PID != 12 || st.parent != 7 || st.Start != 99 || !st.dead() {
		t.Errorf("parseStat = %+v, %v", st, err)
	}
	self, err := statOf(os.Getpid())
	if err != nil || !self.alive() || self.parent != os.Getppid() {
		t.Errorf("statOf(self) = %+v, %v", self, err)
	}
	if other := (process{self.PID, self.Start + 1}); other.alive() {
		t.Error("another process with our number is said to be alive")
	}
}
