package tests

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
)

// longestFile is how many lines a file of Go may have that a person wrote.
const longestFile = 600

// pkg is what 'go list' says of a package of this module.
type pkg struct {
	ImportPath   string
	Dir          string
	Doc          string
	GoFiles      []string
	Imports      []string
	TestImports  []string
	XTestImports []string
}

// name is the path within the module: "internal/pipeline".
func (p pkg) name() string { return strings.TrimPrefix(p.ImportPath, "longhaul/") }

// tests are the imports of the package's test files.
func (p pkg) tests() []string { return slices.Concat(p.TestImports, p.XTestImports) }

// packages lists the packages of the module.
var packages = sync.OnceValues(func() ([]pkg, error) {
	cmd := exec.Command("go", "list", "-e", "-json=ImportPath,Dir,Doc,GoFiles,Imports,TestImports,XTestImports", "./...")
	cmd.Dir = ".."
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, errors.Join(err, errors.New(stderr.String()))
	}
	var all []pkg
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		var p pkg
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			return all, nil
		} else if err != nil {
			return nil, err
		}
		all = append(all, p)
	}
})

func allPackages(t *testing.T) []pkg {
	t.Helper()
	all, err := packages()
	if err != nil {
		t.Fatal(err)
	}
	if !slices.ContainsFunc(all, func(p pkg) bool { return p.name() == "internal/pipeline" }) {
		t.Fatalf("%d packages were listed, and internal/pipeline is not among them", len(all))
	}
	return all
}

// ours reports whether an import path is of this module, and its name in it.
func ours(path string) (name string, is bool) { return strings.CutPrefix(path, "longhaul/") }

// forTests reports whether a package exists to test others, as archivetest does.
func forTests(name string) bool {
	return strings.HasSuffix(name, "test") || name == "internal/simulation" || name == "tests" || strings.HasPrefix(name, "tests/")
}

func TestPipelineImportsOnlyTheStandardLibrary(t *testing.T) {
	t.Parallel()
	for _, p := range allPackages(t) {
		if p.name() != "internal/pipeline" {
			continue
		}
		for _, path := range p.Imports {
			if first, _, _ := strings.Cut(path, "/"); strings.Contains(first, ".") || first == "longhaul" {
				t.Errorf("%s imports %s", p.name(), path)
			}
		}
	}
}

func TestOnlyTheTwoStoresImportADatabaseDriver(t *testing.T) {
	t.Parallel()
	driver := regexp.MustCompile(`^(modernc\.org/sqlite|github\.com/(mattn/go-sqlite3|ncruces/go-sqlite3|glebarez/.*sqlite|jackc/pgx|lib/pq|go-sql-driver/mysql))(/|$)`)
	store := regexp.MustCompile(`^internal/(jobtracker|commondb)(/|$)`)
	outside := "tests" // looks at the databases as a stranger would
	found := 0
	for _, p := range allPackages(t) {
		for _, path := range slices.Concat(p.Imports, p.tests()) {
			if !driver.MatchString(path) {
				continue
			}
			found++
			if !store.MatchString(p.name()) && p.name() != outside {
				t.Errorf("%s imports the database driver %s", p.name(), path)
			}
		}
	}
	if found == 0 {
		t.Error("nobody imports a driver: this test looks for the wrong names")
	}
}

func TestThePassesDoNotKnowEachOther(t *testing.T) {
	t.Parallel()
	pass := regexp.MustCompile(`^internal/(download|pool|upload)(/|$)`)
	for _, p := range allPackages(t) {
		self := pass.FindStringSubmatch(p.name())
		if self == nil {
			continue
		}
		for _, path := range p.Imports {
			name, _ := ours(path)
			if other := pass.FindStringSubmatch(name); other != nil && other[1] != self[1] {
				t.Errorf("%s imports %s", p.name(), name)
			}
		}
	}
}

func TestNothingImportsACommand(t *testing.T) {
	t.Parallel()
	for _, p := range allPackages(t) {
		for _, path := range slices.Concat(p.Imports, p.tests()) {
			name, is := ours(path)
			if is && strings.HasPrefix(name, "cmd/") && !strings.HasPrefix(p.name(), name) {
				t.Errorf("%s imports %s", p.name(), name)
			}
		}
	}
}

// TestProductionDoesWithoutTestPackages: only the demo, whose archive
// misbehaves on purpose, may have those.
func TestProductionDoesWithoutTestPackages(t *testing.T) {
	t.Parallel()
	mayHave := []string{"internal/demo", "cmd/longhaul"}
	for _, p := range allPackages(t) {
		if forTests(p.name()) || slices.Contains(mayHave, p.name()) {
			continue
		}
		for _, path := range p.Imports {
			if name, is := ours(path); is && forTests(name) || path == "testing" {
				t.Errorf("%s imports %s", p.name(), path)
			}
		}
	}
}

func TestEveryPackageSaysWhatItIs(t *testing.T) {
	t.Parallel()
	for _, p := range allPackages(t) {
		if len(p.GoFiles) == 0 { // tests only, or not written yet
			continue
		}
		if p.Doc == "" {
			t.Errorf("%s has no package comment", p.name())
		}
	}
}

func TestNoFileRunsAway(t *testing.T) {
	t.Parallel()
	generated := regexp.MustCompile(`(?m)^// Code generated .* DO NOT EDIT\.$`)
	seen := 0
	err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && path != ".." && (strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata" || d.Name() == "bin") {
			return filepath.SkipDir
		}
		if d.IsDir() || filepath.Ext(path) != ".go" {
			return nil
		}
		seen++
		text, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			return nil // a temporary file
		} else if err != nil {
			return err
		}
		if n := bytes.Count(text, []byte("\n")); n > longestFile && !generated.Match(text) {
			t.Errorf("%s has %d lines; split it by noun, %d is the most", path, n, longestFile)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if seen < 50 {
		t.Errorf("only %d files were seen", seen)
	}
}
