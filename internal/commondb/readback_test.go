package commondb

import (
	"errors"
	"regexp"
	"strings"
	"testing"

	"longhaul/internal/results"
)

// lie makes a trigger that stands for a database that rounds, cuts or drops. A
// server's has its time and its body apart: "BEFORE|NEW.value = 0".
func lie(t testing.TB, db *DB, table, text string) {
	t.Helper()
	when, body, _ := strings.Cut(text, "|")
	switch db.dialect.(type) {
	case postgresDialect:
		end := "; RETURN NEW; END"
		if strings.Contains(body, "RETURN") {
			end = "; END"
		}
		alter(t, db, `CREATE FUNCTION liar() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN `+strings.ReplaceAll(body, "'", "''")+end+`'`)
		alter(t, db, `CREATE TRIGGER liar `+when+` INSERT ON `+table+` FOR EACH ROW EXECUTE FUNCTION liar()`)
	case mysqlDialect:
		alter(t, db, `CREATE TRIGGER liar `+when+` INSERT ON `+table+` FOR EACH ROW `+body)
	default:
		alter(t, db, `CREATE TRIGGER liar `+text)
	}
}

func tellTruth(t testing.TB, db *DB, table string) {
	t.Helper()
	if _, ok := db.dialect.(postgresDialect); ok {
		alter(t, db, `DROP TRIGGER liar ON `+table)
		alter(t, db, `DROP FUNCTION liar`)
	} else {
		alter(t, db, `DROP TRIGGER liar`)
	}
}

func TestReadBackNoticesWhatTheDatabaseChanged(t *testing.T) {
	cases := []struct {
		name, table string
		lies        map[backend]string // a system that cannot lie so is left out
		want        string
	}{
		{"a float is rounded", "diagnostics", map[backend]string{
			SQLite:   `AFTER INSERT ON diagnostics BEGIN UPDATE diagnostics SET value = round(value, 4) WHERE id = new.id; END`,
			Postgres: `BEFORE|NEW.value = round(NEW.value::numeric, 4)`,
			MySQL:    `BEFORE|SET NEW.value = round(NEW.value, 4)`,
		}, "diagnostics.value of row N: sent 0.680022667422247, got 0.68"},
		{"a float loses one bit", "headers", map[backend]string{
			SQLite:   `AFTER INSERT ON headers BEGIN UPDATE headers SET sample_time = sample_time + 1.4210854715202004e-14; END`,
			Postgres: `BEFORE|NEW.sample_time = NEW.sample_time + 1.4210854715202004e-14::float8`,
			MySQL:    `BEFORE|SET NEW.sample_time = NEW.sample_time + 1.4210854715202004e-14`,
		}, "headers.sample_time"},
		{"an integer changes", "headers", map[backend]string{
			SQLite:   `AFTER INSERT ON headers BEGIN UPDATE headers SET beam_id = 4; END`,
			Postgres: `BEFORE|NEW.beam_id = 4`,
			MySQL:    `BEFORE|SET NEW.beam_id = 4`,
		}, "headers.beam_id of row N: sent 3, got 4"},
		{"text is cut", "headers", map[backend]string{
			SQLite:   `AFTER INSERT ON headers BEGIN UPDATE headers SET observers = substr(observers, 1, 3); END`,
			Postgres: `BEFORE|NEW.observers = substr(NEW.observers, 1, 3)`,
			MySQL:    `BEFORE|SET NEW.observers = substr(NEW.observers, 1, 3)`,
		}, `headers.observers of row N: sent "Héloïse 'X'; --", got "Hél"`},
		{"text gets a blank at its end", "headers", map[backend]string{
			Postgres: `BEFORE|NEW.observers = NEW.observers || ' '`,
			MySQL:    `BEFORE|SET NEW.observers = concat(NEW.observers, ' ')`,
		}, `headers.observers of row N`},
		{"null becomes a value", "headers", map[backend]string{
			SQLite:   `AFTER INSERT ON headers BEGIN UPDATE headers SET obstype = 'Mock'; END`,
			Postgres: `BEFORE|NEW.obstype = 'Mock'`,
			MySQL:    `BEFORE|SET NEW.obstype = 'Mock'`,
		}, `headers.obstype of row N: sent null, got "Mock"`},
		{"a blob is cut", "diagnostic_plots", map[backend]string{
			SQLite:   `AFTER INSERT ON diagnostic_plots BEGIN UPDATE diagnostic_plots SET filedata = coalesce(substr(filedata, 1, 5), x''); END`,
			Postgres: `BEFORE|NEW.filedata = substr(NEW.filedata, 1, 5)`,
			MySQL:    `BEFORE|SET NEW.filedata = substr(NEW.filedata, 1, 5)`,
		}, `diagnostic_plots.filedata of row N: sent the file "bandpass.png" of 11 bytes, got 5`},
		{"a blob is altered", "diagnostic_plots", map[backend]string{
			SQLite:   `AFTER INSERT ON diagnostic_plots BEGIN UPDATE diagnostic_plots SET filedata = zeroblob(length(filedata)); END`,
			Postgres: `BEFORE|NEW.filedata = substr(decode(repeat('00', 11), 'hex'), 1, length(NEW.filedata))`,
			MySQL:    `BEFORE|SET NEW.filedata = repeat('x', length(NEW.filedata))`,
		}, "diagnostic_plots.filedata of row N: sent the file \"bandpass.png\" with SHA-256"},
		{"a row hangs on another parent", "diagnostics", map[backend]string{
			SQLite:   `AFTER INSERT ON diagnostics BEGIN UPDATE diagnostics SET type_id = (SELECT max(id) FROM diagnostic_types) + 0 * new.id; INSERT INTO diagnostic_types (name, kind) VALUES ('x', 'numeric'); UPDATE diagnostics SET type_id = (SELECT max(id) FROM diagnostic_types); END`,
			Postgres: `BEFORE|INSERT INTO diagnostic_types (name, kind) VALUES ('x', 'numeric') RETURNING id INTO NEW.type_id; RETURN NEW`,
			MySQL:    `BEFORE|BEGIN INSERT INTO diagnostic_types (name, kind) VALUES ('x', 'numeric'); SET NEW.type_id = last_insert_id(); END`,
		}, "diagnostics.type_id"},
		{"an earlier row is changed by a later one", "diagnostic_plots", map[backend]string{
			SQLite:   `AFTER INSERT ON diagnostic_plots BEGIN UPDATE headers SET beam_id = 9; END`,
			Postgres: `AFTER|UPDATE headers SET beam_id = 9`,
			MySQL:    `AFTER|UPDATE headers SET beam_id = 9`,
		}, "headers.beam_id of row N: sent 3, got 9"},
		{"a shared row is changed", "observations", map[backend]string{
			SQLite:   `AFTER INSERT ON observations BEGIN UPDATE observations SET scan_num = '100'; END`,
			Postgres: `BEFORE|NEW.scan_num = '100'`,
			MySQL:    `BEFORE|SET NEW.scan_num = '100'`,
		}, `observations.scan_num of row N: sent "00100", got "100"`},
		{"a row is deleted", "diagnostics", map[backend]string{
			SQLite:   `AFTER INSERT ON diagnostics BEGIN DELETE FROM diagnostics; END`,
			Postgres: `AFTER|DELETE FROM diagnostics`,
		}, "diagnostics: row N is gone"},
		{"a row is deleted by a later one", "diagnostic_plots", map[backend]string{
			Postgres: `AFTER|DELETE FROM diagnostics`,
			MySQL:    `AFTER|DELETE FROM diagnostics`,
		}, "diagnostics: row N is gone"},
		{"a row is not stored", "diagnostics", map[backend]string{
			SQLite:   `BEFORE INSERT ON diagnostics BEGIN SELECT RAISE(IGNORE); END`,
			Postgres: `BEFORE|RETURN NULL`,
		}, "diagnostics: the database took a row and did not keep it"},
		{"a shared row is not stored", "observations", map[backend]string{
			SQLite:   `BEFORE INSERT ON observations BEGIN SELECT RAISE(IGNORE); END`,
			Postgres: `BEFORE|RETURN NULL`,
		}, "observations: the database took a row and did not keep it"},
		{"the upload's row is changed", "uploads", map[backend]string{
			SQLite:   `AFTER INSERT ON uploads BEGIN UPDATE uploads SET job = ''; END`,
			Postgres: `BEFORE|NEW.job = ''`,
			MySQL:    `BEFORE|SET NEW.job = ''`,
		}, "uploads.job of row N"},
		{"a time loses its milliseconds", "uploads", map[backend]string{
			Postgres: `BEFORE|NEW.created_at = NEW.created_at + interval '1 microsecond'`,
			MySQL:    `BEFORE|SET NEW.created_at = NEW.created_at + INTERVAL 1 MICROSECOND`,
		}, "uploads.created_at of row N: sent 2026-02-28T12:00:00Z, got 2026-02-28T12:00:00.000001Z"},
	}
	everywhere(t, func(t *testing.T, b backend) {
		db := open(t, b.options(t))
		for i, tt := range cases {
			text, can := tt.lies[b]
			if !can {
				continue
			}
			before, err := db.Counts(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			r := beam(3)
			r.Refs["observation_id"].Values["obs_name"] = tt.name // a new one
			lie(t, db, tt.table, text)
			_, err = db.Upload(t.Context(), meta(tt.name), []results.Record{r})
			if !errors.Is(err, ErrMismatch) || !strings.Contains(numbers.ReplaceAllString(err.Error(), "row N"), tt.want) {
				t.Errorf("%s: Upload = %v\nwant ErrMismatch with %q", tt.name, err, tt.want)
			}
			wantRows(t, db, before)
			tellTruth(t, db, tt.table)
			if _, err := db.Upload(t.Context(), meta(tt.name), []results.Record{r}); err != nil {
				t.Errorf("%d: without the trigger: %v", i, err)
			}
		}
	})
}

// numbers are those of rows: a database does not give one again.
var numbers = regexp.MustCompile(`row \d+`)
