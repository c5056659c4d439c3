package archivetest

import (
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"
)

// RestoreFault is the way in which the restore service goes wrong.
type RestoreFault int

// The faults, for each call until the next SetFault.
const (
	NoFault RestoreFault = iota
	// ServiceUnavailable answers with status 503.
	ServiceUnavailable
	// Hang does not answer until the client gives up.
	Hang
	// LoseReply does what was asked and closes the connection instead of answering.
	LoseReply
	// Garbage answers with a page that is no answer.
	Garbage
)

// RestoreServiceOptions describe a restore service.
type RestoreServiceOptions struct {
	Username string
	Password string
	Address  string // to listen on; empty: a free port of 127.0.0.1

	// Restore starts a restore and returns its GUID; false is a refusal.
	Restore func(number, bits int, fileType string) (guid string, ok bool)
	// Location returns the word for a request: "done", or another.
	Location func(guid string) string
}

// RestoreServiceStats count the calls that reached a restore service.
type RestoreServiceStats struct {
	Restores      int // that the Restore function saw
	Locations     int // that the Location function saw
	RestoreTests  int
	LocationTests int
	Refused       int    // wrong user name or password
	Pipeline      string // as the last caller named itself
}

// RestoreService speaks the protocol of the original's web service: GET calls
// that answer one word in XML.
type RestoreService struct {
	opts     RestoreServiceOptions
	listener net.Listener
	server   *http.Server
	cancel   context.CancelFunc
	served   chan error

	mu    sync.Mutex
	fault RestoreFault
	stats RestoreServiceStats
}

// NewRestoreService starts a restore service.
func NewRestoreService(opts RestoreServiceOptions) (*RestoreService, error) {
	if opts.Restore == nil || opts.Location == nil {
		return nil, errors.New("restore service: Restore and Location are needed")
	}
	if opts.Address == "" {
		opts.Address = "127.0.0.1:0"
	}
	listener, err := net.Listen("tcp", opts.Address)
	if err != nil {
		return nil, fmt.Errorf("restore service: %w", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	s := &RestoreService{opts: opts, listener: listener, cancel: cancel, served: make(chan error, 1)}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /Restore", s.handle(s.restore))
	mux.HandleFunc("GET /Location", s.handle(s.location))
	mux.HandleFunc("GET /RestoreTest", s.handle(s.restoreTest))
	mux.HandleFunc("GET /LocationTest", s.handle(s.locationTest))
	s.server = &http.Server{
		Handler:           mux,
		ReadHeaderTimeout: 10 * time.Second,
		BaseContext:       func(net.Listener) context.Context { return ctx },
	}
	go func() { s.served <- s.server.Serve(listener) }()
	return s, nil
}

// URL returns the address of the service, as a client's configuration has it.
func (s *RestoreService) URL() string { return "http://" + s.listener.Addr().String() }

// Close ends all calls and returns when nothing is left running.
func (s *RestoreService) Close() error {
	s.cancel()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	err := errors.Join(s.server.Shutdown(ctx), s.server.Close())
	if served := <-s.served; !errors.Is(served, http.ErrServerClosed) {
		err = errors.Join(err, served)
	}
	return err
}

// SetFault makes all calls go wrong in one way from now on; NoFault ends that.
func (s *RestoreService) SetFault(f RestoreFault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fault = f
}

// Stats returns the counts so far.
func (s *RestoreService) Stats() RestoreServiceStats {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stats
}

func (s *RestoreService) update(change func(*RestoreServiceStats)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(&s.stats)
}

// errParameter says that a call was made in the wrong way.
var errParameter = errors.New("missing or wrong parameter")

// handle checks who asks, applies the fault, and writes the answer.
func (s *RestoreService) handle(call func(*http.Request) (word string, err error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		fault := s.fault
		s.mu.Unlock()
		switch fault {
		case ServiceUnavailable:
			http.Error(w, "come back later", http.StatusServiceUnavailable)
			return
		case Hang:
			<-r.Context().Done()
			return
		case Garbage:
			io.WriteString(w, "<html><body>It works!</body></html>")
			return
		}
		word, err := s.answer(r, call)
		switch {
		case fault == LoseReply:
			panic(http.ErrAbortHandler) // the documented way to cut the connection
		case err != nil: // as the framework of the original does it
			http.Error(w, err.Error(), http.StatusInternalServerError)
		default:
			writeWord(w, word)
		}
	}
}

// answer is "fail" for those who may not ask, as the original has it.
func (s *RestoreService) answer(r *http.Request, call func(*http.Request) (string, error)) (string, error) {
	if q := r.URL.Query(); q.Get("username") != s.opts.Username || q.Get("pw") != s.opts.Password {
		s.update(func(c *RestoreServiceStats) { c.Refused++ })
		return "fail", nil
	}
	return call(r)
}

func writeWord(w http.ResponseWriter, word string) {
	w.Header().Set("Content-Type", "text/xml; charset=utf-8")
	fmt.Fprint(w, `<?xml version="1.0" encoding="utf-8"?>`+"\n"+`<string xmlns="http://localhost/dataflow">`)
	xml.EscapeText(w, []byte(word)) // a client that is gone needs no answer
	fmt.Fprint(w, "</string>")
}

// restoreQuery reads the parameters that Restore and RestoreTest share.
func (s *RestoreService) restoreQuery(r *http.Request) (number, bits int, fileType string, err error) {
	q := r.URL.Query()
	number, numberErr := strconv.Atoi(q.Get("number"))
	bits, bitsErr := strconv.Atoi(q.Get("bits"))
	fileType = q.Get("fileType")
	if numberErr != nil || bitsErr != nil || number < 1 || bits < 1 || fileType == "" || !q.Has("pipeline") {
		return 0, 0, "", errParameter
	}
	s.update(func(c *RestoreServiceStats) { c.Pipeline = q.Get("pipeline") })
	return number, bits, fileType, nil
}

func (s *RestoreService) restore(r *http.Request) (string, error) {
	number, bits, fileType, err := s.restoreQuery(r)
	if err != nil {
		return "", err
	}
	s.update(func(c *RestoreServiceStats) { c.Restores++ })
	guid, ok := s.opts.Restore(number, bits, fileType)
	if !ok {
		return "fail", nil
	}
	return guid, nil
}

func (s *RestoreService) location(r *http.Request) (string, error) {
	guid := r.URL.Query().Get("guid")
	if guid == "" {
		return "", errParameter
	}
	s.update(func(c *RestoreServiceStats) { c.Locations++ })
	return s.opts.Location(guid), nil
}

func (s *RestoreService) restoreTest(r *http.Request) (string, error) {
	if _, _, _, err := s.restoreQuery(r); err != nil {
		return "", err
	}
	s.update(func(c *RestoreServiceStats) { c.RestoreTests++ })
	return "success", nil
}

func (s *RestoreService) locationTest(*http.Request) (string, error) {
	s.update(func(c *RestoreServiceStats) { c.LocationTests++ })
	return "success", nil
}
