package jobtracker

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"hash/fnv"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"

	"longhaul/internal/loop"
	"longhaul/internal/pipeline"
)

// A lock on a server is an advisory lock of a session that does nothing else.
// The server gives it back when the session ends, whatever became of us; so we
// must notice as well, and stop, before another that has it by then begins:
//
//   - every few seconds the session is asked whether it holds the lock. If it is
//     gone, as when the server starts again, another session takes the lock anew;
//   - if nothing has confirmed the lock for patience.lost, it is lost;
//   - a daemon that takes the lock, and finds that the last holder did not say
//     that it ends, waits for patience.takeover, unless it can see that it is dead;
//   - it then writes its token into the table tracker, and every change of the
//     last holder is refused from there on, however late it comes (Store.Guard).

// lease is the right to change something in the name of a daemon.
type lease struct{ kind, token string }

// session holds a lock.
type session struct {
	name   string
	config *pgx.ConnConfig
	key    int32
	pace   patience
	lost   chan struct{}
	stop   context.CancelFunc
	done   chan struct{} // closed when hold has returned

	mu    sync.Mutex
	token string    // that Guard wrote; "" if it did not
	conn  *pgx.Conn // hold's, while it runs
}

func lockOnServer(ctx context.Context, db, name string, pace patience) (*Lock, error) {
	config, err := postgresConfig(db, fmt.Sprintf("longhaul lock %s on %s, process %d", name, hostname(), os.Getpid()), false)
	if err != nil {
		return nil, pipeline.Fatal(err)
	}
	d := &postgresDialect{name: address(db)}
	s := &session{name: name, config: config, key: keyOf(name), pace: pace, lost: make(chan struct{}), done: make(chan struct{})}
	began := time.Now()
	if err := s.take(ctx); err != nil {
		return nil, fmt.Errorf("lock %s: %w", name, d.classify(ctx, err))
	}
	own, cancel := context.WithCancel(context.WithoutCancel(ctx))
	s.stop = cancel
	go s.hold(own, began)
	return &Lock{lost: s.lost, unlock: s.unlock, session: s}, nil
}

// place is the first key of a lock: that of the schema, since a database can
// hold several job-trackers.
const place = `(SELECT (oid::bigint % 2147483648)::int FROM pg_namespace WHERE nspname = current_schema())`

// keyOf is the second key of a lock.
func keyOf(name string) int32 {
	h := fnv.New32a()
	_, _ = h.Write([]byte(name)) // it never fails
	return int32(h.Sum32())
}

// objid is how the server's list of locks has a key.
func objid(key int32) int64 { return int64(uint32(key)) }

// take takes the lock with a new session, if nobody else has it.
func (s *session) take(ctx context.Context) error {
	conn, err := pgx.ConnectConfig(ctx, s.config)
	if err != nil {
		return err
	}
	var got bool
	err = conn.QueryRow(ctx, `SELECT coalesce(pg_try_advisory_lock(`+place+`, $1), false)`, s.key).Scan(&got)
	if err == nil && !got {
		err = fmt.Errorf("%w: %s", loop.ErrLocked, s.holder(ctx, conn))
	}
	if err == nil {
		err = s.refuseTaken(ctx, conn)
	}
	if err != nil {
		return errors.Join(err, closeSoon(conn))
	}
	s.conn = conn
	return nil
}

// refuseTaken finds that somebody else has had the lock meanwhile.
func (s *session) refuseTaken(ctx context.Context, conn *pgx.Conn) error {
	token := s.guarded()
	if token == "" {
		return nil
	}
	var now string
	err := conn.QueryRow(ctx, `SELECT coalesce(leases ->> $1, '') FROM tracker`, s.name).Scan(&now)
	if err == nil && now != token {
		return ErrLockLost
	}
	return err
}

// holder says who has the lock.
func (s *session) holder(ctx context.Context, conn *pgx.Conn) string {
	var who string
	if err := conn.QueryRow(ctx, toPostgres(whoHolds), objid(s.key)).Scan(&who); err != nil {
		return "another has it"
	}
	return who + " has it"
}

// whoHolds selects who holds a lock: what the session calls itself, and from where.
const whoHolds = `
	SELECT a.application_name || coalesce(' (' || host(a.client_addr) || ')', '')
	  FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid
	 WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 2
	   AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
	   AND l.classid::bigint = ` + place + ` AND l.objid::bigint = ?`

// closeSoon closes a connection that may be broken.
func closeSoon(conn *pgx.Conn) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	return conn.Close(ctx)
}

// hold confirms the lock until it is lost or given back.
func (s *session) hold(ctx context.Context, sure time.Time) {
	defer close(s.done)
	tick := time.NewTicker(s.pace.beat)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		asked := time.Now() // what is true when it is answered was true since
		within, cancel := context.WithDeadline(ctx, sure.Add(s.pace.lost))
		err := s.confirm(within)
		cancel()
		switch {
		case err == nil:
			sure = asked
		case ctx.Err() != nil:
		case errors.Is(err, ErrLockLost), time.Since(sure) >= s.pace.lost:
			close(s.lost)
			return
		}
	}
}

// confirm asks whether the session still holds the lock, and takes it with
// another one if it does not.
func (s *session) confirm(ctx context.Context) error {
	if s.conn != nil {
		brief, cancel := context.WithTimeout(ctx, s.pace.beat)
		var held bool
		err := s.conn.QueryRow(brief, `
			SELECT EXISTS (SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND granted AND objsubid = 2
			   AND pid = pg_backend_pid() AND objid::bigint = $1)`, objid(s.key)).Scan(&held)
		cancel()
		if err == nil && held {
			return nil
		}
		_ = closeSoon(s.conn) // it is of no use, whatever it says
		s.conn = nil
	}
	return s.take(ctx)
}

func (s *session) guarded() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.token
}

// unlock gives the lock back, and says so to the next.
func (s *session) unlock() error {
	s.stop()
	<-s.done
	if s.conn == nil {
		return nil
	}
	var err error
	if token := s.guarded(); token != "" {
		ctx, cancel := context.WithTimeout(context.Background(), connectTimeout)
		defer cancel()
		_, err = s.conn.Exec(ctx, `UPDATE tracker SET leases = leases - $1 WHERE leases ->> $1 = $2`, s.name, token)
	}
	return errors.Join(err, closeSoon(s.conn))
}

// Guard lets this store change something only as long as nobody else has taken
// over what the lock is for: the store is of the daemon that the lock is for, by
// name. If the last one did not say that it ends, Guard first calls waiting and
// waits until it must have stopped. On a file there is nothing to guard against.
func (s *Store) Guard(ctx context.Context, l *Lock, waiting func(last string, wait time.Duration)) error {
	d, onServer := s.dialect.(*postgresDialect)
	if !onServer || l.session == nil {
		return nil
	}
	name := l.session.name
	last, err := d.leaseOf(ctx, name)
	if err != nil {
		return err
	}
	if last != "" && !dead(last) {
		waiting(last, l.session.pace.takeover)
		timer := time.NewTimer(l.session.pace.takeover)
		defer timer.Stop()
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-l.Lost():
			return pipeline.Fatal(ErrLockLost)
		case <-timer.C:
		}
	}
	token := newToken()
	err = s.write(ctx, "take over the "+name, func(tx *txn) error {
		_, err := tx.ExecContext(ctx, `UPDATE tracker SET leases = leases || jsonb_build_object(?::text, ?::text)`, name, token)
		return err
	})
	if err != nil {
		return err
	}
	l.session.mu.Lock()
	l.session.token = token
	l.session.mu.Unlock()
	d.lease.Store(&lease{name, token})
	return nil
}

func (d *postgresDialect) leaseOf(ctx context.Context, name string) (token string, err error) {
	err = d.ro.QueryRowContext(ctx, `SELECT coalesce(leases ->> ?::text, '') FROM tracker`, name).Scan(&token)
	return token, d.classify(ctx, err)
}

// Holder says who has a lock of a job-tracker on a server; held is false if
// nobody has.
func (s *Store) Holder(ctx context.Context, name string) (who string, held bool, err error) {
	d, onServer := s.dialect.(*postgresDialect)
	if !onServer {
		return "", false, errors.New("the locks of a job-tracker in a file are files")
	}
	err = d.ro.QueryRowContext(ctx, whoHolds, objid(keyOf(name))).Scan(&who)
	if errors.Is(err, sql.ErrNoRows) {
		return "", false, nil
	}
	return who, err == nil, d.classify(ctx, err)
}

// newToken names this process: host, process, where the number of the process
// means something, and a word that nobody else has.
func newToken() string {
	return strings.Join([]string{strings.ReplaceAll(hostname(), " ", "-"), strconv.Itoa(os.Getpid()), scope(), rand.Text()}, " ")
}

// scope is where the numbers of processes are those that we see: this boot of
// this kernel, and this namespace of it.
func scope() string {
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return "unknown"
	}
	namespace, err := os.Readlink("/proc/self/ns/pid")
	if err != nil {
		return "unknown"
	}
	return strings.TrimSpace(string(boot)) + "/" + namespace
}

// dead reports whether the process of a token is one that we can see not to be
// there any more.
func dead(token string) bool {
	f := strings.Fields(token)
	if len(f) != 4 || f[2] == "unknown" || f[2] != scope() {
		return false
	}
	pid, err := strconv.Atoi(f[1])
	if err != nil || pid <= 0 || pid == os.Getpid() {
		return false
	}
	if errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) {
		return true
	}
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	_, state, ok := strings.Cut(string(stat[strings.LastIndexByte(string(stat), ')')+1:]), " ")
	return ok && (strings.HasPrefix(state, "Z") || strings.HasPrefix(state, "X"))
}
