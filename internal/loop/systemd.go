package loop

import (
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
)

// Service is the process as systemd sees it, by way of NOTIFY_SOCKET and
// WATCHDOG_USEC. Without systemd all its methods do nothing.
type Service struct {
	notify func(state string) error
	limit  time.Duration // without a ping for so long, systemd kills the process; 0: it does not watch

	mu       sync.Mutex
	beats    map[*Beat]time.Time // when each loop last showed life
	lastPing time.Time
}

// NewService reads the environment that systemd has set.
func NewService() (*Service, error) {
	limit, err := daemon.SdWatchdogEnabled(false)
	if err != nil {
		return nil, fmt.Errorf("systemd watchdog: %w", err)
	}
	return newService(limit, func(state string) error {
		_, err := daemon.SdNotify(false, state)
		return err
	}), nil
}

func newService(limit time.Duration, notify func(string) error) *Service {
	return &Service{notify: notify, limit: limit, beats: map[*Beat]time.Time{}}
}

// Ready tells systemd that the daemon has started. Units that wait for it go on.
func (s *Service) Ready() error { return s.tell(daemon.SdNotifyReady) }

// Stopping tells systemd that the daemon is about to end.
func (s *Service) Stopping() error { return s.tell(daemon.SdNotifyStopping) }

// Status sets the line that systemctl status shows.
func (s *Service) Status(line string) error {
	return s.tell("STATUS=" + strings.ReplaceAll(line, "\n", " "))
}

func (s *Service) tell(state string) error {
	if err := s.notify(state); err != nil {
		name, _, _ := strings.Cut(state, "=")
		return fmt.Errorf("notify systemd %s: %w", name, err)
	}
	return nil
}

// Watch adds one loop to those that must all be alive for the watchdog to be
// pinged. Every loop of a process has its own.
func (s *Service) Watch() *Beat {
	b := &Beat{s}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.beats[b] = time.Now()
	return b
}

// Beat is one loop's part of the watchdog. There is no goroutine that pings
// on its own: a ping is a sign of life of a loop, given when a pass ends or
// reports progress and while the loop waits. So a stuck pass ends the pings,
// and systemd restarts the daemon. A nil Beat does nothing.
type Beat struct{ s *Service }

// Beat shows that the loop is alive.
func (b *Beat) Beat() {
	if b == nil || b.s.limit == 0 || !b.s.pingDue(b) {
		return
	}
	// An error changes nothing here: if it lasts, systemd finds out.
	_ = b.s.tell(daemon.SdNotifyWatchdog)
}

// Done takes the loop out of the watch.
func (b *Beat) Done() {
	if b == nil {
		return
	}
	b.s.mu.Lock()
	defer b.s.mu.Unlock()
	delete(b.s.beats, b)
}

// every is how often a waiting loop must beat: twice in the half of the limit
// that the others allow it. 0: never.
func (b *Beat) every() time.Duration {
	if b == nil {
		return 0
	}
	return b.s.limit / 4
}

// pingDue notes a beat and reports whether to ping: not if that was done a
// moment ago, and not if another loop has been silent for half the limit.
func (s *Service) pingDue(b *Beat) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	if _, watched := s.beats[b]; watched {
		s.beats[b] = now
	}
	if now.Sub(s.lastPing) < s.limit/8 {
		return false
	}
	for _, last := range s.beats {
		if now.Sub(last) > s.limit/2 {
			return false
		}
	}
	s.lastPing = now
	return true
}
