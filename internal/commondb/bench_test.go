package commondb

import (
	"fmt"
	"testing"

	"longhaul/internal/results"
)

// BenchmarkUpload is the upload of a beam's results, read back and compared:
// of 100 candidates with plots of 2 MB, and of many small rows, where it shows
// that the cost of a row does not grow with their number.
func BenchmarkUpload(b *testing.B) {
	for _, name := range Drivers() {
		for _, what := range []struct {
			name    string
			rows    int
			records []results.Record
		}{
			{"files", 100, plots(100, 2_000_000)},
			{"1000 rows", 1000, many(1000)},
			{"100000 rows", 100_000, many(100_000)},
		} {
			b.Run(name+"/"+what.name, func(b *testing.B) {
				o := backend(name).options(b)
				o.Timeout = DefaultTimeout
				db := open(b, o)
				b.ReportAllocs()
				for n := 0; b.Loop(); n++ {
					if _, err := db.Upload(b.Context(), meta(fmt.Sprint(n)), what.records); err != nil {
						b.Fatal(err)
					}
				}
				b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N*what.rows), "us/row")
			})
		}
	}
}
