package config

import (
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func submitTime() time.Time {
	return time.Date(2011, 3, 21, 23, 4, 5, 0, time.FixedZone("UTC-5", -5*3600))
}

func TestOutputDir(t *testing.T) {
	t.Parallel()
	mock := map[string]string{"projid": "p2030", "date": "20110321", "source": "G35.48+00.11.N", "beam": "3", "scan": "00100"}
	wapp := map[string]string{"projid": "P2030", "mjd": "53340", "source": "B1937+21", "beam": "4", "scan": "0123", "sec": "54881"}
	for name, tt := range map[string]struct {
		template string
		meta     map[string]string
		want     string
	}{
		"default of a Mock file":           {defaultOutputDir, mock, "20110321/p2030.G35.48+00.11.N.00100/3/110322T040405"},
		"default of a WAPP file":           {defaultOutputDir, wapp, "20041201/P2030.B1937+21.0123/4/110322T040405"},
		"the original's by MJD":            {"{mjd}/{obs}/{beam}/{time}", mock, "55641/p2030.G35.48+00.11.N.00100/3/110322T040405"},
		"MJD as it is in the name":         {"{mjd}/{time}", wapp, "53340/110322T040405"},
		"stage, job and another group":     {"{stage}/{sec}-{job}_{time}", wapp, "quicklook/54881-12_110322T040405"},
		"an observation named as such":     {"{obs}/{time}", map[string]string{"obs": "X1", "projid": "p"}, "X1/110322T040405"},
		"an observation with parts amiss":  {"{obs}/{time}", map[string]string{"source": "X1", "scan": ""}, "X1/110322T040405"},
		"characters that do not belong":    {"{source}/{time}", map[string]string{"source": "a/b c\x00\né\\*"}, "a_b_c_____/110322T040405"},
		"a name that leads up":             {"{source}/{time}", map[string]string{"source": ".."}, "__/110322T040405"},
		"a name that leads nowhere":        {"{source}/{time}", map[string]string{"source": "."}, "_/110322T040405"},
		"two names that lead up together":  {"{source}{beam}/{time}", map[string]string{"source": ".", "beam": "."}, "__/110322T040405"},
		"a name that leads up and down":    {"{source}/{time}", map[string]string{"source": "../../etc"}, ".._.._etc/110322T040405"},
		"a group that is called like time": {"{time}", map[string]string{"time": "x"}, "110322T040405"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := Stage{Name: "quicklook", OutputDir: tt.template}
			if got, err := s.ExpandOutputDir(tt.meta, 12, submitTime()); err != nil || got != tt.want {
				t.Errorf("got %q, %v; want %q", got, err, tt.want)
			}
		})
	}
}

func TestOutputDirThatCannotBe(t *testing.T) {
	t.Parallel()
	const in = "output directory of stage quicklook: "
	for name, tt := range map[string]struct {
		template string
		meta     map[string]string
		want     string
	}{
		"group missing":        {"{beam}/{time}", nil, in + "the job's files give no {beam}"},
		"group empty":          {"{beam}/{time}", map[string]string{"beam": ""}, in + "the job's files give no {beam}"},
		"date that is none":    {"{mjd}/{time}", map[string]string{"date": "20111321"}, in + "the job's files give no {mjd}"},
		"MJD that is none":     {"{date}/{time}", map[string]string{"mjd": "-1"}, in + "the job's files give no {date}"},
		"observation missing":  {"{obs}/{time}", map[string]string{"beam": "1"}, in + "the job's files give no {obs}"},
		"brace left open":      {"{time", nil, in + `"{time" has a { without its }`},
		"nothing in between":   {"a//{time}", nil, in + `"" is no name for a directory`},
		"name beyond measure":  {"{a}/{time}", map[string]string{"a": strings.Repeat("x", 256)}, in + `"` + strings.Repeat("x", 256) + `" is no name for a directory`},
		"nothing in the whole": {"", nil, in + `"" is no name for a directory`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := Stage{Name: "quicklook", OutputDir: tt.template}
			if got, err := s.ExpandOutputDir(tt.meta, 12, submitTime()); err == nil || err.Error() != tt.want {
				t.Errorf("got %q, %v; want %s", got, err, tt.want)
			}
		})
	}
}

func TestMJDAndDateAreTheSameDay(t *testing.T) {
	t.Parallel()
	for mjd, date := range map[string]string{"0": "18581117", "40587": "19700101", "51544": "20000101", "55641": "20110321", "60369": "20240229", "151536": "22731008"} {
		if got, ok := mjdOfDate(date); !ok || got != mjd {
			t.Errorf("%s is MJD %s, want %s", date, got, mjd)
		}
		if got, ok := dateOfMJD(mjd); !ok || got != date {
			t.Errorf("MJD %s is %s, want %s", mjd, got, date)
		}
	}
}

// FuzzExpandOutputDir: whatever a file is called, the directory is beneath the
// one for results, and as deep as the template says.
func FuzzExpandOutputDir(f *testing.F) {
	f.Add("p2030", "20110321", "G35", "3")
	f.Add("..", "..", "..", "..")
	f.Add("/", "\x00", "\xff", "a/../../b")
	f.Fuzz(func(t *testing.T, projid, date, source, beam string) {
		s := Stage{Name: "s", OutputDir: "{date}/{obs}/{beam}/{time}"}
		meta := map[string]string{"projid": projid, "date": date, "source": source, "beam": beam}
		dir, err := s.ExpandOutputDir(meta, 1, submitTime())
		if err != nil {
			return
		}
		if !filepath.IsLocal(dir) || filepath.Clean(dir) != dir || strings.Count(dir, "/") != 3 || !printable(dir) {
			t.Errorf("%q makes the directory %q", meta, dir)
		}
	})
}
