package config

import (
	"maps"
	"strings"
	"testing"
)

func TestScanLinesFindsEveryKey(t *testing.T) {
	t.Parallel()
	text := strings.Join([]string{
		1:  "top = 1 # [not.a.table]",
		2:  "[basic] # a comment",
		3:  `  name = "a # b = [" # [[`,
		4:  `list = [ # ]`,
		5:  `  "x = 1", '''`,
		6:  `[fake]'''`,
		7:  `]`,
		8:  `long = """`,
		9:  `fake = 1`,
		10: `end with a quote""""`,
		11: `after = '\'`,
		12: `path = "C:\\"`,
		13: `"quoted key" . 'b' = 1`,
		14: `last.of.all = { a = 1, b = "}" }`,
		15: `joined = """a \`,
		16: `  b"""`,
		17: "[[product]]\r",
		18: "name = 'one'\r",
		19: "[product.complete]",
		20: "subband = ['0']",
		21: "[[product]]",
		22: "name = 'two'",
		23: "[[product.inner]]",
		24: "x = 1",
		25: "[product.complete]",
		26: "subband = ['0']",
	}, "\n")
	want := map[string]int{
		"top": 1, "basic": 2, "basic.name": 3, "basic.list": 4, "basic.long": 8, "basic.after": 11, "basic.path": 12,
		"basic.quoted key.b": 13, "basic.last.of.all": 14, "basic.joined": 15,
		"product": 17, "product[0]": 17, "product[0].name": 18, "product[0].complete": 19, "product[0].complete.subband": 20,
		"product[1]": 21, "product[1].name": 22, "product[1].inner": 23, "product[1].inner[0]": 23, "product[1].inner[0].x": 24,
		"product[1].complete": 25, "product[1].complete.subband": 26,
	}
	// The first line of the join is empty, number 0: start behind it.
	got := scanLines("\ufeff" + strings.TrimPrefix(text, "\n"))
	if !maps.Equal(got, want) {
		for path, line := range want {
			if got[path] != line {
				t.Errorf("%s is on line %d, want %d", path, got[path], line)
			}
		}
		for path, line := range got {
			if want[path] == 0 {
				t.Errorf("%s was found on line %d", path, line)
			}
		}
	}
}

func TestPlaceOfWhatIsMissingIsItsSection(t *testing.T) {
	t.Parallel()
	o := origin{file: "c.toml", lines: map[string]int{"basic": 3, "product[1]": 9}}
	for path, line := range map[string]int{"basic.x": 3, "basic": 3, "product[1].complete.x": 9, "product[2].name": 0, "email.x": 0, "": 0} {
		if got := o.place(path); got.line != line || got.file != "c.toml" {
			t.Errorf("%q is placed at %v, want line %d", path, got, line)
		}
	}
}

// FuzzScanLines: whatever the text, the scan ends, and every line is in the text.
func FuzzScanLines(f *testing.F) {
	for _, seed := range []string{good, "a = \"\\", "[[", "[", "a", "'''", `"""\`, "=", "a = [", "\x00", "[a]]]\n]"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		last := strings.Count(text, "\n") + 1
		for path, line := range scanLines(text) {
			if line < 1 || line > last {
				t.Errorf("%q is on line %d of %d", path, line, last)
			}
		}
	})
}
