package tests

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	_ "modernc.org/sqlite" // the driver by which addOwnTable is an operator

	"longhaul/internal/commondb"
	"longhaul/internal/results"
)

// moduleRoot is the module's directory, seen from this package.
const moduleRoot = ".."

// document is one page for people.
type document struct {
	name string // from the root
	text string
}

// documents are the README and the manual.
func documents(t *testing.T) []document {
	t.Helper()
	pages, err := filepath.Glob(filepath.Join(moduleRoot, "docs", "*.md"))
	if err != nil || len(pages) == 0 {
		t.Fatalf("no documents: %v", err)
	}
	var all []document
	for _, page := range append(pages, filepath.Join(moduleRoot, "README.md")) {
		all = append(all, document{strings.TrimPrefix(page, moduleRoot+string(filepath.Separator)), readText(t, page)})
	}
	return all
}

func readText(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func manualPage(t *testing.T, name string) string {
	return readText(t, filepath.Join(moduleRoot, "docs", name))
}

var codeFence = regexp.MustCompile("(?ms)^ *```([a-z]*)\n(.*?)^ *```$")

// code returns what stands in code spans, and the lines of code blocks, be
// they fenced or indented.
func (d document) code() []string {
	var all []string
	for _, m := range codeFence.FindAllStringSubmatch(d.text, -1) {
		all = append(all, strings.Split(m[2], "\n")...)
	}
	prose := codeFence.ReplaceAllString(d.text, "")
	for line := range strings.Lines(prose) {
		if code, indented := strings.CutPrefix(line, "    "); indented {
			all = append(all, code)
		}
	}
	for _, m := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(prose, -1) {
		all = append(all, strings.ReplaceAll(m[1], "\n", " "))
	}
	return all
}

// block returns the n-th code block in a language, from 0.
func (d document) block(t *testing.T, language string, n int) string {
	t.Helper()
	for _, m := range codeFence.FindAllStringSubmatch(d.text, -1) {
		if m[1] != language {
			continue
		}
		if n == 0 {
			return m[2]
		}
		n--
	}
	t.Fatalf("%s has too few blocks of %s", d.name, language)
	return ""
}

// headingAnchors are the names by which the headings of a page can be linked to.
func headingAnchors(text string) []string {
	var all []string
	for _, m := range regexp.MustCompile(`(?m)^#+ +(.+)$`).FindAllStringSubmatch(codeFence.ReplaceAllString(text, ""), -1) {
		slug := regexp.MustCompile(`[^\p{L}\p{N} _-]`).ReplaceAllString(strings.ToLower(m[1]), "")
		all = append(all, strings.ReplaceAll(slug, " ", "-"))
	}
	return all
}

func TestLinksInTheDocumentsLeadSomewhere(t *testing.T) {
	t.Parallel()
	link := regexp.MustCompile(`\]\(([^)\s]+)\)`)
	for _, d := range documents(t) {
		for _, m := range link.FindAllStringSubmatch(codeFence.ReplaceAllString(d.text, ""), -1) {
			path, anchor, _ := strings.Cut(m[1], "#")
			if strings.Contains(path, "://") || strings.HasPrefix(path, "mailto:") {
				continue
			}
			target := filepath.Join(moduleRoot, filepath.Dir(d.name), path)
			if path == "" {
				target = filepath.Join(moduleRoot, d.name)
			}
			if _, err := os.Stat(target); err != nil {
				t.Errorf("%s: link to %s: %v", d.name, m[1], err)
			} else if anchor != "" && !slices.Contains(headingAnchors(readText(t, target)), anchor) {
				t.Errorf("%s: link to %s: no such heading; there are %q", d.name, m[1], headingAnchors(readText(t, target)))
			}
		}
	}
}

// commandLine finds the calls of longhaul in a line of code: the subcommand and
// what follows it.
var commandLine = regexp.MustCompile(`(?:^\s*(?:\$ )?|sudo -u longhaul |watch |-- |/)longhaul((?: --config \S+)?)\s+([a-z][a-z-]*)([^|;&#]*)`)

func TestCommandsInTheDocumentsExist(t *testing.T) {
	t.Parallel()
	help := helpTexts{program: program(t, "longhaul"), texts: map[string]string{}}
	found := 0
	for _, d := range documents(t) {
		for _, line := range d.code() {
			line, _, _ = strings.Cut(line, " # ") // a comment
			for _, m := range commandLine.FindAllStringSubmatch(line, -1) {
				found++
				if err := help.knows(t.Context(), m[2], m[3]); err != nil {
					t.Errorf("%s: %q: %v", d.name, strings.TrimSpace(m[0]), err)
				}
			}
		}
	}
	if found < 50 {
		t.Errorf("only %d command lines were found: this test does not look in the right places", found)
	}
}

func TestCommandsThatDoNotExistAreNoticed(t *testing.T) {
	t.Parallel()
	help := helpTexts{program: program(t, "longhaul"), texts: map[string]string{}}
	for _, line := range []string{"longhaul stats", "longhaul status --full", "$ longhaul kill-jobs -x 12"} {
		m := commandLine.FindStringSubmatch(line)
		if m == nil {
			t.Errorf("%q is not seen as a command", line)
		} else if help.knows(t.Context(), m[2], m[3]) == nil {
			t.Errorf("%q goes unnoticed", line)
		}
	}
}

// helpTexts are the help texts of longhaul's subcommands.
type helpTexts struct {
	program string
	texts   map[string]string
}

// knows says whether there is such a subcommand, with the flags in its arguments.
func (h *helpTexts) knows(ctx context.Context, sub, args string) error {
	text, err := h.of(ctx, sub)
	if err != nil {
		return err
	}
	// A command of commands: the next word is one of them.
	if words := strings.Fields(args); strings.Contains(text, "longhaul "+sub+" [command]") && len(words) > 0 {
		return h.knows(ctx, sub+" "+words[0], strings.Join(words[1:], " "))
	}
	if !strings.Contains(text, "  longhaul "+sub) {
		return fmt.Errorf("no such subcommand")
	}
	args, _, _ = strings.Cut(args+" ", " -- ") // what follows is another command's
	for _, word := range strings.Fields(args) {
		flag, _, _ := strings.Cut(word, "=")
		if !strings.HasPrefix(flag, "-") {
			continue
		}
		if !regexp.MustCompile(`(?m)^ +(-\w, )?` + regexp.QuoteMeta(flag) + `\b`).MatchString(text) {
			return fmt.Errorf("no flag %s", flag)
		}
	}
	return nil
}

// of returns the help text of a subcommand.
func (h *helpTexts) of(ctx context.Context, sub string) (string, error) {
	if text, ok := h.texts[sub]; ok {
		return text, nil
	}
	out, err := exec.CommandContext(ctx, h.program, append(strings.Fields(sub), "--help")...).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%w: %s", err, out)
	}
	h.texts[sub] = string(out)
	return string(out), nil
}

func TestPathsInTheDocumentsAreExamples(t *testing.T) {
	t.Parallel()
	allowed := []string{"etc", "srv", "data", "opt", "var", "usr", "scratch", "dev"}
	url := regexp.MustCompile(`[a-z]+://\S+`)
	path := regexp.MustCompile("(?m)(?:^|[\\s(\"'`=,\\[{])/([A-Za-z][\\w.-]*)")
	for _, d := range documents(t) {
		for _, m := range path.FindAllStringSubmatch(url.ReplaceAllString(d.text, ""), -1) {
			if !slices.Contains(allowed, m[1]) {
				t.Errorf("%s: a path begins with /%s; examples begin with one of %q", d.name, m[1], allowed)
			}
		}
	}
}

// exampleSettings are those of config.example.toml, as section.key, without the files
// of secrets.
func exampleSettings(t *testing.T) []string {
	t.Helper()
	var all []string
	section := ""
	title, key := regexp.MustCompile(`^\[+([a-z]+)\]+$`), regexp.MustCompile(`^(?:# )?([a-z][a-z0-9_]*) *= `)
	for line := range strings.Lines(readText(t, filepath.Join(moduleRoot, "config.example.toml"))) {
		if m := title.FindStringSubmatch(strings.TrimSpace(line)); m != nil {
			section = m[1]
		} else if m := key.FindStringSubmatch(line); m != nil && section != "" {
			if name := section + "." + m[1]; !slices.Contains(all, name) {
				all = append(all, name)
			}
		}
	}
	return slices.DeleteFunc(all, func(name string) bool {
		secret, isFile := strings.CutSuffix(name, "_file")
		return isFile && slices.Contains(all, secret)
	})
}

func TestSettingsInTheDocumentsExist(t *testing.T) {
	t.Parallel()
	known := exampleSettings(t)
	name := regexp.MustCompile(`^(?:basic|background|commondb|download|email|jobpooler|processing|upload|product|stage)\.[a-z_0-9]+$`)
	for _, d := range documents(t) {
		for _, span := range d.code() {
			if name.MatchString(span) && !slices.Contains(known, span) && !strings.HasSuffix(span, ".py") {
				t.Errorf("%s: config.example.toml has no setting %s", d.name, span)
			}
		}
	}
	text := manualPage(t, "from-palfa2.md")
	for _, s := range known {
		if !strings.Contains(text, "`"+s+"`") {
			t.Errorf("docs/from-palfa2.md does not say where the setting %s comes from", s)
		}
	}
}

// originalNames is what the documentation of the original pipeline names, and what
// its later versions added: whoever looks for one of these must find it.
func originalNames() map[string]string {
	return map[string]string{
		"settings": `institution pipeline survey pipelinedir psrfits_utilsdir delete_rawdata coords_table log_dir qsublog_dir
			screen_output jobtracker_db sleep username password host
			api_service_url api_username api_password ftp_host ftp_port ftp_username ftp_password temp space_to_use
			numdownloads numrestored numretries min_free_space request_timeout request_numbits request_datatype
			enabled smtp_host smtp_port smtp_username smtp_password smtp_usetls smtp_usessl smtp_login recipient sender
			send_on_failures send_on_terminal_failures send_on_crash
			base_results_directory max_jobs_running max_jobs_queue max_jobs_queued max_attempts queue_manager
			base_working_directory default_zaplist zaplistdir
			use_subbands fold_rawdata datatype_flag rfifind_chunk_time singlepulse_threshold singlepulse_plot_SNR
			singlepulse_maxwidth to_prepfold_sigma max_cands_to_fold numhits_to_fold low_DM_cutoff lo_accel_numharm
			lo_accel_sigma lo_accel_zmax lo_accel_flo hi_accel_numharm hi_accel_sigma hi_accel_zmax hi_accel_flo
			low_T_to_search base_tmp_dir sifting_sigma_threshold sifting_c_pow_threshold sifting_r_err
			sifting_short_period sifting_long_period sifting_harm_pow_cutoff version_num`,
		"tables and columns": `requests files download_attempts jobs job_files job_submits
			id size guid status details created_at updated_at filename remote_filename request_id file_id job_id queue_id output_dir`,
		"statuses": `waiting finished failed new added downloading unverified downloaded retrying terminal_failure deleted
			complete unknown download_failed verification_failed submitted processed uploaded running
			submission_failed processing_failed upload_failed stopped`,
		"scripts": `StartDownloader.py StartJobPool.py StartJobUploader.py add_files.py stop_processing_jobs.py
			create_database.py kill_jobs.py remove_files.py current_status.py overview_failed.py search.py --fail -f -i -g`,
		"tests":                        `commondb_test.py cornellftp_test.py install_test.py mailer_test.py restore_test.py submit_test.py test_job.py`,
		"methods of the queue manager": `submit can_submit is_running delete status had_errors get_errors`,
	}
}

func TestEverythingOfTheOriginalCanBeFound(t *testing.T) {
	t.Parallel()
	text := manualPage(t, "from-palfa2.md")
	for what, names := range originalNames() {
		for name := range strings.FieldsSeq(names) {
			if !regexp.MustCompile(`(^|[^\w.])` + regexp.QuoteMeta(name) + `($|[^\w])`).MatchString(text) {
				t.Errorf("docs/from-palfa2.md says nothing about %s, one of the %s", name, what)
			}
		}
	}
}

func TestTheExampleOfResultsCanBeUploaded(t *testing.T) {
	t.Parallel()
	d := document{"docs/results.md", manualPage(t, "results.md")}
	dir := t.TempDir()
	for name, text := range map[string]string{results.ManifestName: d.block(t, "json", 0), "rfifind.png": "a picture"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o640); err != nil {
			t.Fatal(err)
		}
	}
	reader, err := results.NewManifest(0)
	if err != nil {
		t.Fatal(err)
	}
	records, err := reader.Read(t.Context(), results.Source{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	options := commondb.Options{Database: filepath.Join(t.TempDir(), "commondb.db"), Timeout: time.Minute}
	if _, err := commondb.Init(t.Context(), options); err != nil {
		t.Fatal(err)
	}
	addOwnTable(t, options.Database, d.block(t, "sql", 0))
	db, err := commondb.Open(t.Context(), options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	if _, err := db.Upload(t.Context(), commondb.Meta{Submit: "example-1", Version: "EXAMPLE:1"}, records); err != nil {
		t.Fatal(err)
	}
	counts, err := db.Counts(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, table := range []string{"uploads", "versions", "observations", "headers", "diagnostics", "diagnostic_plots", "pulses"} {
		if counts[table] != 1 {
			t.Errorf("%d rows in %s, want 1", counts[table], table)
		}
	}
}

// addOwnTable does what an operator does with sqlite3.
func addOwnTable(t *testing.T, path, text string) {
	t.Helper()
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.ExecContext(t.Context(), text); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}

// goSources returns the text of every Go file below a directory of the module.
func goSources(t *testing.T, dirs ...string) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, dir := range dirs {
		err := filepath.WalkDir(filepath.Join(moduleRoot, dir), func(path string, e fs.DirEntry, err error) error {
			if err == nil && !e.IsDir() && filepath.Ext(path) == ".go" {
				all[path] = readText(t, path)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return all
}

func TestThePagesThatTheProgramsNameExist(t *testing.T) {
	t.Parallel()
	reference := regexp.MustCompile(`docs/([a-z0-9-]+\.md)(?:, \\"([^"\\]+)\\")?`)
	found := 0
	for path, text := range goSources(t, "cmd", "internal") {
		for _, m := range reference.FindAllStringSubmatch(text, -1) {
			found++
			if _, err := os.Stat(filepath.Join(moduleRoot, "docs", m[1])); err != nil {
				t.Errorf("%s names %s: %v", path, m[0], err)
			} else if m[2] != "" && !strings.Contains(manualPage(t, m[1]), "\n## "+m[2]+"\n") {
				t.Errorf("%s names the heading %q, which docs/%s does not have", path, m[2], m[1])
			}
		}
	}
	if found == 0 {
		t.Error("no program names any page: this test does not look in the right places")
	}
}

func TestTheArchitectureNamesEveryPackageAndOnlyTestsThatExist(t *testing.T) {
	t.Parallel()
	text := manualPage(t, "architecture.md")
	packages, err := filepath.Glob(filepath.Join(moduleRoot, "internal", "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range packages {
		if name := "`internal/" + filepath.Base(p) + "`"; !strings.Contains(text, name) {
			t.Errorf("docs/architecture.md does not say what belongs into %s", name)
		}
	}
	var all strings.Builder
	for _, source := range goSources(t, "internal", "tests") {
		all.WriteString(source)
	}
	for _, name := range regexp.MustCompile("`(Test[A-Z]\\w+)`").FindAllStringSubmatch(text, -1) {
		if !strings.Contains(all.String(), "func "+name[1]+"(") {
			t.Errorf("docs/architecture.md names the test %s, which there is not", name[1])
		}
	}
}

func TestEveryDirectDependencyIsExplained(t *testing.T) {
	t.Parallel()
	out, err := exec.CommandContext(t.Context(), "go", "mod", "edit", "-json", filepath.Join(moduleRoot, "go.mod")).Output()
	if err != nil {
		t.Fatal(err)
	}
	var mod struct {
		Require []struct {
			Path     string
			Indirect bool
		}
	}
	if err := json.Unmarshal(out, &mod); err != nil {
		t.Fatal(err)
	}
	text := manualPage(t, "dependencies.md")
	for _, m := range mod.Require {
		if !m.Indirect && !strings.Contains(text, "`"+m.Path+"`") {
			t.Errorf("docs/dependencies.md does not say what %s is for", m.Path)
		}
	}
}
