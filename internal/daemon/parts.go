package daemon

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"longhaul/internal/backup"
	"longhaul/internal/commondb"
	"longhaul/internal/config"
	"longhaul/internal/download"
	"longhaul/internal/pipeline"
	"longhaul/internal/pool"
	"longhaul/internal/product"
	"longhaul/internal/queue/local"
	"longhaul/internal/results"
	"longhaul/internal/site"
	"longhaul/internal/upload"
)

func (p *part) makeDownloader() error {
	products, err := product.New(p.cfg.Products)
	if err != nil {
		return err
	}
	restorer, err := site.Restorer(p.cfg)
	if err != nil {
		return err
	}
	server, err := site.FileServer(p.cfg, p.log)
	if err != nil {
		return err
	}
	d := download.New(download.Options{
		Config: p.cfg.Download, Store: p.store, Restorer: restorer, Server: server, Products: products,
		Every: p.cfg.Background.Sleep.Std(), Wake: func() { p.wake() }, Log: p.log,
		Progress: func() { p.progress() },
	})
	p.pass, p.wait = d.Pass, d.Wait
	p.ends = append(p.ends, server.Close)
	return nil
}

func (p *part) makePooler() error {
	products, err := product.New(p.cfg.Products)
	if err != nil {
		return err
	}
	manager, err := site.QueueManager(p.cfg, p.log)
	if err != nil {
		return err
	}
	p.watch = func(ctx context.Context, wake func()) {
		if m, ok := manager.(pruner); ok {
			go p.prune(ctx, m)
		}
		if m, ok := manager.(*local.Manager); ok { // the others must be asked
			m.Watch(ctx, wake)
		}
	}
	p.pass = pool.New(pool.Options{
		Config: p.cfg, Store: p.store, Manager: manager, Products: products, Log: p.log,
		Progress: func() { p.progress() }, SettleAfter: site.SettleAfter(p.cfg),
	}).Pass
	return nil
}

// pruner is a queue manager that keeps records of its own.
type pruner interface {
	Prune(ctx context.Context, olderThan time.Duration) (int, error)
}

// keepEnded is how long a queue manager remembers a job that has ended.
// A name that it has forgotten would run again if it were submitted again, so
// this is far longer than a jobpooler is ever down.
const keepEnded = 90 * 24 * time.Hour

// prune lets a queue manager forget old jobs, once a day.
func (p *part) prune(ctx context.Context, m pruner) {
	tick := time.NewTicker(24 * time.Hour)
	defer tick.Stop()
	for {
		if n, err := m.Prune(ctx, keepEnded); err != nil && ctx.Err() == nil {
			p.log.Warn("old records of the queue manager not removed", "err", err)
		} else if n > 0 {
			p.log.Info("old records of the queue manager removed", "jobs", n)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// keepBackups backs the job-tracker up as the configuration says. Any daemon
// can: the one that has the lock at that moment does it.
func (p *part) keepBackups(ctx context.Context, end context.CancelCauseFunc) {
	b := p.cfg.Background
	if b.BackupEvery <= 0 || b.OnServer() { // a server's backups are its own business
		return
	}
	err := backup.New(p.store, backup.Options{
		Dir: backup.Dir(p.cfg), Every: b.BackupEvery.Std(), Keep: b.BackupKeep,
		Lock: site.LockPath(p.cfg, "backup"), Log: p.log,
	}).Run(ctx)
	if err != nil { // it is damaged: nothing may be built on it
		end(err)
	}
}

// refuseHeld returns an error if the job-tracker was restored from a backup and
// nobody has looked yet what it has forgotten.
func (p *part) refuseHeld(ctx context.Context) error {
	hold, held, err := p.store.Held(ctx)
	if err != nil || !held {
		return err
	}
	return pipeline.Fatal(fmt.Errorf("job-tracker %s was %s; run 'longhaul doctor --repair' first, so that nothing is done twice", p.store.Path(), hold))
}

func (p *part) makeUploader(ctx context.Context) error {
	db := &database{cfg: p.cfg, log: p.log}
	// One that does not answer is waited for; one that is not there, or of
	// another version, is told at once.
	if _, err := db.open(ctx); err != nil && !errors.Is(err, pipeline.ErrOutage) {
		return err
	}
	p.ends = append(p.ends, db.Close)
	readers, err := site.Readers()
	if err != nil {
		return err
	}
	p.pass = upload.New(upload.Options{
		Config: p.cfg, Store: p.store, Database: db, Readers: readers, Log: p.log,
		Progress: func() { p.progress() },
	}).Pass
	return nil
}

// database opens the common database when it is first needed and answers.
type database struct {
	cfg *config.Config
	log *slog.Logger
	mu  sync.Mutex
	db  *commondb.DB
}

func (d *database) open(ctx context.Context) (*commondb.DB, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.db != nil {
		return d.db, nil
	}
	db, err := site.CommonDB(ctx, d.cfg)
	if err != nil {
		return nil, err
	}
	d.db = db
	return db, nil
}

// Upload implements upload.Database.
func (d *database) Upload(ctx context.Context, m commondb.Meta, records []results.Record) (commondb.Receipt, error) {
	db, err := d.open(ctx)
	if err != nil {
		return commondb.Receipt{}, err
	}
	return db.Upload(ctx, m, records)
}

// Close closes the common database if it is open.
func (d *database) Close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.db == nil {
		return nil
	}
	return d.db.Close()
}
