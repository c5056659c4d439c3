package download

import (
	"context"
	"errors"
	"fmt"
	"path"
	"strings"

	"longhaul/internal/archive"
	"longhaul/internal/pipeline"
)

// receive looks for files that have become ready, in the requests that wait or
// in the directory that is polled. A wake does not make it ask more often than
// every Every.
func (d *Downloader) receive(ctx context.Context) error {
	if since := d.Now().Sub(d.asked); since >= 0 && since < d.Every*9/10 {
		return nil
	}
	d.asked = d.Now()
	if d.Restorer == nil {
		return d.poll(ctx)
	}
	waiting, err := d.Store.WaitingRequests(ctx)
	if err != nil {
		return err
	}
	var errs []error
	for _, r := range waiting {
		d.Progress()
		err := d.advanceRequest(ctx, r)
		if err != nil {
			errs = append(errs, fmt.Errorf("request %d: %w", r.ID, err))
		}
		if ctx.Err() != nil || errors.Is(err, pipeline.ErrOutage) {
			break // the others would meet the same
		}
	}
	return errors.Join(errs...)
}

// advanceRequest asks the archive about one waiting request.
func (d *Downloader) advanceRequest(ctx context.Context, r pipeline.Request) error {
	if r.GUID == "" {
		return d.ask(ctx, r)
	}
	done, word, err := d.Restorer.Location(ctx, r.GUID)
	d.heard(err)
	switch {
	case errors.Is(err, archive.ErrRefused):
		word = err.Error()
	case err != nil:
		return err
	case done:
		if word, err = d.enter(ctx, r); err != nil || word == "" {
			return err
		}
	}
	return d.notReady(ctx, r, word)
}

// notReady leaves a request waiting, or fails it when it has waited too long.
func (d *Downloader) notReady(ctx context.Context, r pipeline.Request, word string) error {
	if d.lastWord[r.ID] != word {
		d.lastWord[r.ID] = word
		d.Log.Info("the archive is not ready", "request", r.ID, "guid", r.GUID, "answer", word)
	}
	if d.waitedFor(r) < d.Config.RequestTimeout.Std() {
		return nil
	}
	return d.failRequest(ctx, r, fmt.Sprintf("not ready after %s; the archive's last answer was %q", d.Config.RequestTimeout, word))
}

// enter lists the directory of a request that is done and enters the files
// that a product recognises. It returns why if the request is not ready after all.
func (d *Downloader) enter(ctx context.Context, r pipeline.Request) (notYet string, err error) {
	dir := path.Join(d.Config.FTPDirectory, r.GUID)
	listing, err := d.Server.List(ctx, dir)
	switch {
	case errors.Is(err, archive.ErrNoFile):
		return "done, but its directory is not on the file server", nil
	case err != nil:
		return "", err
	}
	d.fileServerAnswers()
	if len(listing.Entries) == 0 {
		return "done, but its directory has no files", nil
	}
	files, left := d.recognise(dir, listing)
	said := summary(len(listing.Entries)+len(listing.Refused), len(files), left)
	if len(files) == 0 {
		d.holdOff()
		return "", d.failRequest(ctx, r, said)
	}
	trouble, err := d.addChecksums(ctx, dir, listing, files)
	if err != nil {
		return "", err
	}
	if trouble != nil && d.sumsAgain(dir) {
		return "done, but " + trouble.Error(), nil
	} else if trouble != nil {
		said += "; without all checksums: " + trouble.Error()
	}
	entered, err := d.Store.FinishRequest(ctx, r.ID, files, said)
	if err != nil {
		return "", err
	}
	delete(d.lastWord, r.ID)
	if entered == 0 {
		d.holdOff()
	} else {
		d.fruitless = 0
	}
	d.Log.Info("request finished", "request", r.ID, "guid", r.GUID, "files", entered,
		"known_already", len(files)-entered, "listing", said)
	return "", nil
}

// summary says in a request's details what its listing held.
func summary(listed, wanted int, left []string) string {
	s := fmt.Sprintf("%d files listed, %d wanted", listed, wanted)
	if len(left) == 0 {
		return s
	}
	const most = 10
	more := ""
	if len(left) > most {
		more = fmt.Sprintf(" and %d more", len(left)-most)
		left = left[:most]
	}
	return s + "; left alone: " + strings.Join(left, ", ") + more
}
