package simulation

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"path"
	"time"

	"longhaul/internal/config"
	"longhaul/internal/pipeline"
)

// observation is one observation of the survey, and what is true of it.
type observation struct {
	name  string
	files []*rawFile
	// hopeless says that its jobs never end well.
	hopeless bool
	// commits is how often its results are in the common database.
	commits int
	// letGo says that a setting or an operator allowed to delete its raw data
	// without an upload.
	letGo bool
	// job is its job in the job-tracker, 0 as long as it has none.
	job pipeline.JobID
}

// rawFile is one file of an observation. Its content follows from its name and
// version.
type rawFile struct {
	obs     *observation
	name    string
	version int // raised when the archive replaces it
	modTime time.Time
	// hopeless says that the file server never sends it whole.
	hopeless bool
	// faults is how many attempts were spoiled that may count.
	faults int

	id   pipeline.FileID // in the job-tracker; 0 before it is entered
	path string          // here
}

// content is the bytes of a file. No two versions of a file have the same size.
func content(name string, version int) []byte {
	h := fnv.New64a()
	fmt.Fprint(h, name, version)
	seed := h.Sum64()
	rng := rand.New(rand.NewPCG(seed, 1))
	b := make([]byte, 160+7*version+int(seed%7))
	for i := range b {
		b[i] = byte(rng.Uint32())
	}
	return b
}

func (f *rawFile) content() []byte { return content(f.name, f.version) }

// isVersion reports whether some bytes are any version of the file as a whole.
func (f *rawFile) isVersion(b []byte) bool {
	for v := range f.version + 1 {
		if string(content(f.name, v)) == string(b) {
			return true
		}
	}
	return false
}

func (f *rawFile) sha256() string {
	sum := sha256.Sum256(f.content())
	return hex.EncodeToString(sum[:])
}

// survey is all observations that were made, in their order.
type survey struct {
	all    []*observation
	byFile map[string]*rawFile
}

// files returns all files of all observations.
func (s *survey) files() (all []*rawFile) {
	for _, o := range s.all {
		all = append(all, o.files...)
	}
	return all
}

// observe makes the next observation: one file, or a pair.
func (s *sim) observe() *observation {
	n, date := len(s.survey.all), s.at.Format("20060102")
	o := &observation{name: fmt.Sprintf("G%05d", n), hopeless: s.chance(s.rates.hopeless)}
	names := []string{fmt.Sprintf("P2030.%s.G%05d.b0.00100.fits", date, n)}
	if s.chance(0.5) {
		names = []string{
			fmt.Sprintf("4bit-P2030.%s.G%05d.b0s0g0.00100.fits", date, n),
			fmt.Sprintf("4bit-P2030.%s.G%05d.b0s1g0.00100.fits", date, n),
		}
	}
	for _, name := range names {
		f := &rawFile{obs: o, name: name, modTime: s.at.Truncate(time.Second), hopeless: s.chance(s.rates.hopeless)}
		o.files = append(o.files, f)
		s.survey.byFile[name] = f
	}
	s.survey.all = append(s.survey.all, o)
	return o
}

// fileAt returns the file that a path ends with; nil if it is of no observation.
func (s *sim) fileAt(p string) *rawFile { return s.survey.byFile[path.Base(p)] }

// products are the kinds of file of the survey.
func products() []config.Product {
	group := []string{"projid", "date", "source", "beam", "scan"}
	return []config.Product{
		{Name: "mock", GroupBy: group, Complete: map[string][]string{"subband": {"0", "1"}},
			Pattern: `^4bit-(?P<projid>P\d{4})\.(?P<date>\d{8})\.(?P<source>G\d+)\.b(?P<beam>[0-7])s(?P<subband>[01])g0\.(?P<scan>\d{5})\.fits$`},
		{Name: "merged", GroupBy: group, Ignore: map[string][]string{"beam": {"7"}},
			Pattern: `^(?P<projid>P\d{4})\.(?P<date>\d{8})\.(?P<source>G\d+)\.b(?P<beam>[0-7])\.(?P<scan>\d{5})\.fits$`},
	}
}
