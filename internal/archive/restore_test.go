package archive_test

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"longhaul/internal/archive"
	"longhaul/internal/archive/archivetest"
)

const guid = "0f8fad5b-d9cb-469f-a165-70867728950e"

// service starts a restore service that knows one GUID.
func service(t *testing.T) *archivetest.RestoreService {
	t.Helper()
	s, err := archivetest.NewRestoreService(archivetest.RestoreServiceOptions{
		Username: user, Password: password,
		Restore: func(number, bits int, fileType string) (string, bool) {
			return guid, number == 5 && bits == 4 && fileType == "mock"
		},
		Location: func(g string) string {
			if g == guid {
				return "done"
			}
			return "waiting for tape & drive"
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("closing the restore service: %v", err)
		}
	})
	return s
}

func restorer(t *testing.T, url string, change func(*archive.RestoreOptions)) *archive.RestoreClient {
	t.Helper()
	opts := archive.RestoreOptions{URL: url, Username: user, Password: password, Pipeline: "longhaul", Timeout: 5 * time.Second}
	if change != nil {
		change(&opts)
	}
	c, err := archive.NewRestorer(opts)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestRestoreAndLocation(t *testing.T) {
	t.Parallel()
	s := service(t)
	c := restorer(t, s.URL()+"/", nil)
	if got, err := c.Restore(t.Context(), 5, 4, "mock"); err != nil || got != guid {
		t.Errorf("Restore = %q, %v", got, err)
	}
	if done, word, err := c.Location(t.Context(), guid); err != nil || !done || word != "done" {
		t.Errorf("Location = %v, %q, %v", done, word, err)
	}
	if done, word, err := c.Location(t.Context(), "other"); err != nil || done || word != "waiting for tape & drive" {
		t.Errorf("Location of another = %v, %q, %v", done, word, err)
	}
	if err := c.Test(t.Context()); err != nil {
		t.Errorf("Test = %v", err)
	}
	want := archivetest.RestoreServiceStats{Restores: 1, Locations: 2, RestoreTests: 1, LocationTests: 1, Pipeline: "longhaul"}
	if got := s.Stats(); got != want {
		t.Errorf("the service saw %+v, want %+v", got, want)
	}
}

func TestRefusalsAreNotOutages(t *testing.T) {
	t.Parallel()
	s := service(t)
	_, err := restorer(t, s.URL(), nil).Restore(t.Context(), 6, 4, "mock")
	wantKind(t, err, "refused")
	wrong := restorer(t, s.URL(), func(o *archive.RestoreOptions) { o.Password = "wrong" })
	wantKind(t, wrong.Test(t.Context()), "refused")
	_, _, err = wrong.Location(t.Context(), guid)
	wantKind(t, err, "refused")
	if n := s.Stats().Refused; n != 2 {
		t.Errorf("%d refused for the password, want 2", n)
	}
	_, err = restorer(t, s.URL()+"/elsewhere", nil).Restore(t.Context(), 5, 4, "mock")
	wantKind(t, err, "refused") // 404
}

func TestTroubleOfTheServiceIsAnOutage(t *testing.T) {
	t.Parallel()
	s := service(t)
	c := restorer(t, s.URL(), func(o *archive.RestoreOptions) { o.Timeout = 200 * time.Millisecond })
	for name, fault := range map[string]archivetest.RestoreFault{
		"503": archivetest.ServiceUnavailable, "hang": archivetest.Hang,
		"reply lost": archivetest.LoseReply, "a page instead": archivetest.Garbage,
	} {
		s.SetFault(fault)
		_, err := c.Restore(t.Context(), 5, 4, "mock")
		wantKind(t, err, "outage")
		wantNoPassword(t, err)
		if t.Failed() {
			t.Fatalf("with fault %q", name)
		}
	}
	if n := s.Stats().Restores; n != 1 {
		t.Errorf("%d restores were done, want the one whose reply was lost", n)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	_, err = restorer(t, "http://"+l.Addr().String(), nil).Restore(t.Context(), 5, 4, "mock")
	wantKind(t, err, "outage")
	wantNoPassword(t, err)
}

func wantNoPassword(t *testing.T, err error) {
	t.Helper()
	for _, secret := range []string{password, "pipe%2Bsecret", "secret%26more"} {
		if err != nil && strings.Contains(err.Error(), secret) {
			t.Errorf("password in the error: %v", err)
		}
	}
}

func TestAnswersOfAllKinds(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 70_000)
	for _, tt := range []struct {
		name   string
		status int
		body   string
		kind   string
	}{
		{"a GUID", 200, `<string xmlns="x">` + guid + `</string>`, "none"},
		{"with declaration and blanks", 200, "<?xml version=\"1.0\" encoding=\"utf-8\"?>\r\n<string> " + guid + " </string>\r\n", "none"},
		{"the word fail", 200, `<string>fail</string>`, "refused"},
		{"a longer failure", 200, `<string>Failed: quota</string>`, "refused"},
		{"nothing", 200, `<string></string>`, "refused"},
		{"a GUID that leaves the directory", 200, `<string>../../etc</string>`, "refused"},
		{"a GUID with a newline", 200, "<string>a&#10;b</string>", "refused"},
		{"a GUID like an option", 200, "<string>-rf</string>", "refused"},
		{"a GUID of 65 letters", 200, "<string>" + strings.Repeat("a", 65) + "</string>", "refused"},
		{"no XML", 200, "oops", "outage"},
		{"empty body", 200, "", "outage"},
		{"cut", 200, "<string>" + guid, "outage"},
		{"another element", 200, "<int>5</int>", "outage"},
		{"nested", 200, "<string><b>x</b></string>", "outage"},
		{"two answers", 200, "<string>a</string><string>b</string>", "outage"},
		{"an entity bomb", 200, `<!DOCTYPE s [<!ENTITY a "x">]><string>&a;</string>`, "outage"},
		{"endless", 200, "<string>" + long + "</string>", "outage"},
		{"403", 403, "who are you, " + password + "?", "refused"},
		{"404", 404, "", "refused"},
		{"429", 429, "", "outage"},
		{"500", 500, "stack trace " + password, "outage"},
		{"504", 504, "", "outage"},
		{"redirect", 302, "", "outage"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Location", "/elsewhere?"+r.URL.RawQuery)
				w.WriteHeader(tt.status)
				_, _ = w.Write([]byte(tt.body)) // the client hangs up on the endless one
			}))
			t.Cleanup(s.Close)
			got, err := restorer(t, s.URL, nil).Restore(t.Context(), 5, 4, "mock")
			wantKind(t, err, tt.kind)
			wantNoPassword(t, err)
			if tt.kind == "none" && got != guid {
				t.Errorf("GUID %q", got)
			}
			if err != nil && len(err.Error()) > 1000 {
				t.Errorf("error of %d bytes", len(err.Error()))
			}
		})
	}
}

func TestEndedContextOfACallIsReturnedAsItIs(t *testing.T) {
	t.Parallel()
	s := service(t)
	s.SetFault(archivetest.Hang)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := restorer(t, s.URL(), nil).Restore(ctx, 5, 4, "mock"); err != context.DeadlineExceeded {
		t.Errorf("Restore = %v", err)
	}
}

func TestUnusableURLsAreRefused(t *testing.T) {
	t.Parallel()
	for _, u := range []string{"", "host/path", "ftp://host", "http://", "http://user:hunter2@host/", "http://host/?pw=hunter2", "http://ho st:hunter2"} {
		_, err := archive.NewRestorer(archive.RestoreOptions{URL: u})
		if err == nil {
			t.Errorf("%q accepted", u)
		} else if strings.Contains(err.Error(), "hunter2") {
			t.Errorf("secret in the error: %v", err)
		}
	}
}
