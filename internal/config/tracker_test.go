package config

import (
	"strings"
	"testing"
)

func TestAJobTrackerOnAServer(t *testing.T) {
	t.Parallel()
	const line = `jobtracker_db = "/lib/jobtracker.db"`
	const spool = `base_results_directory = "/results"`
	for name, tt := range map[string]struct {
		becomes string
		want    []string
	}{
		"with a password in the address": {`jobtracker_db = "postgres://me:geheim@db/x"`,
			[]string{`6: background.jobtracker_db: has a password in it, and is printed; give it as jobtracker_password_file, or in the file of passwords of the daemons' user, ~/.pgpass`}},
		"with a password among its parameters": {`jobtracker_db = "postgres://me@db/x?password=geheim"`,
			[]string{`6: background.jobtracker_db: has a password in it, and is printed; give it as jobtracker_password_file, or in the file of passwords of the daemons' user, ~/.pgpass`}},
		"with an address that is none": {`jobtracker_db = "postgres://me:%zz@db/x"`,
			[]string{`6: background.jobtracker_db: is an address that cannot be read; write postgres://user@host:port/database`}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			text := strings.Replace(good, line, tt.becomes, 1)
			text = strings.Replace(text, spool, spool+"\nlocal_spool = \"/lib/queue\"", 1)
			expect(t, text, withFiles(nil), tt.want...)
		})
	}
	t.Run("rightly", func(t *testing.T) {
		t.Parallel()
		text := strings.Replace(good, line, `jobtracker_db = "postgres://me@db/x"`, 1)
		text = strings.Replace(text, spool, spool+"\nlocal_spool = \"/lib/queue\"", 1)
		if _, err := Parse("c.toml", []byte(text), withFiles(nil)); err != nil {
			t.Error(err)
		}
	})
	t.Run("needs a place for the local queue", func(t *testing.T) {
		t.Parallel()
		expect(t, strings.Replace(good, line, `jobtracker_db = "postgres://me@db/x"`, 1), withFiles(nil),
			`19: jobpooler.local_spool: is missing; there is no job-tracker's directory to put it in; give it, as local_spool = "/var/lib/longhaul/queue"`)
	})
	t.Run("a file has no password", func(t *testing.T) {
		t.Parallel()
		expect(t, strings.Replace(good, line, line+"\njobtracker_password = \"x\"", 1), withFiles(nil),
			`7: background.jobtracker_password: is set, but a job-tracker in a file has none; remove it`)
	})
}
