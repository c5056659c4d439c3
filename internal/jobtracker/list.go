package jobtracker

import (
	"context"
	"database/sql"
	"fmt"
	"strings"

	"longhaul/internal/pipeline"
)

// Filter chooses rows for an operator's list: all that agree with what is set.
type Filter struct {
	Statuses []pipeline.Status // none: all
	Text     string            // part of a name or of the details
	Before   int64             // only rows with a smaller ID, to go on from a page; 0: from the newest
	Limit    int               // rows at most; 0: all
}

// clause builds the WHERE of a list; only placeholders carry values.
func (f Filter) clause(nameColumn string) (string, []any) {
	where, args := []string{"true"}, []any{}
	if len(f.Statuses) > 0 {
		marks := strings.TrimSuffix(strings.Repeat("?, ", len(f.Statuses)), ", ")
		where = append(where, "status IN ("+marks+")")
		for _, s := range f.Statuses {
			args = append(args, s)
		}
	}
	if f.Text != "" {
		where = append(where, "(instr("+nameColumn+", ?) > 0 OR instr(details, ?) > 0)")
		args = append(args, f.Text, f.Text)
	}
	if f.Before > 0 {
		where = append(where, "id < ?")
		args = append(args, f.Before)
	}
	clause := " WHERE " + strings.Join(where, " AND ") + " ORDER BY id DESC"
	if f.Limit > 0 {
		clause += " LIMIT ?"
		args = append(args, f.Limit)
	}
	return clause, args
}

// Requests lists requests, newest first.
func (s *Store) Requests(ctx context.Context, f Filter) ([]pipeline.Request, error) {
	where, args := f.clause("coalesce(guid, '')")
	return query(ctx, s, "list requests", `SELECT `+requestColumns+` FROM requests`+where, scanRequest, args...)
}

// Request returns one request.
func (s *Store) Request(ctx context.Context, id pipeline.RequestID) (pipeline.Request, error) {
	return queryOne(ctx, s, fmt.Sprintf("request %d", id),
		`SELECT `+requestColumns+` FROM requests WHERE id = ?`, scanRequest, id)
}

// Files lists files, newest first.
func (s *Store) Files(ctx context.Context, f Filter) ([]pipeline.File, error) {
	where, args := f.clause("filename")
	return query(ctx, s, "list files", `SELECT `+fileColumns+` FROM files`+where, scanFile, args...)
}

// FilesOfRequest returns the files that a request brought.
func (s *Store) FilesOfRequest(ctx context.Context, id pipeline.RequestID) ([]pipeline.File, error) {
	return query(ctx, s, "files of request", `
		SELECT `+fileColumns+` FROM files WHERE request_id = ? ORDER BY id`, scanFile, id)
}

// FileByName returns the newest file of a name, in hand or deleted.
func (s *Store) FileByName(ctx context.Context, name string) (pipeline.File, error) {
	return queryOne(ctx, s, fmt.Sprintf("file %q", name), `
		SELECT `+fileColumns+` FROM files WHERE filename = ? ORDER BY id DESC LIMIT 1`, scanFile, name)
}

// Attempts lists download attempts, newest first.
func (s *Store) Attempts(ctx context.Context, f Filter) ([]pipeline.Attempt, error) {
	where, args := f.clause("details")
	return query(ctx, s, "list attempts", `SELECT `+attemptColumns+` FROM download_attempts`+where, scanAttempt, args...)
}

// Attempt returns one download attempt.
func (s *Store) Attempt(ctx context.Context, id pipeline.AttemptID) (pipeline.Attempt, error) {
	return queryOne(ctx, s, fmt.Sprintf("attempt %d", id),
		`SELECT `+attemptColumns+` FROM download_attempts WHERE id = ?`, scanAttempt, id)
}

// Jobs lists jobs, newest first.
func (s *Store) Jobs(ctx context.Context, f Filter) ([]pipeline.Job, error) {
	where, args := f.clause("name")
	return query(ctx, s, "list jobs", `SELECT `+jobColumns+` FROM jobs`+where, scanJob, args...)
}

// Submits lists submits, newest first.
func (s *Store) Submits(ctx context.Context, f Filter) ([]pipeline.Submit, error) {
	where, args := f.clause("name")
	return query(ctx, s, "list submits", `SELECT `+submitColumns+` FROM job_submits`+where, scanSubmit, args...)
}

// Counts returns how many requests, files, attempts, jobs and submits there
// are of each status. It reads whole indexes: for people, not for a pass.
func (s *Store) Counts(ctx context.Context) (map[pipeline.Entity]map[pipeline.Status]int, error) {
	type count struct {
		status pipeline.Status
		n      int
	}
	all := make(map[pipeline.Entity]map[pipeline.Status]int)
	for _, m := range pipeline.Machines() {
		counts, err := query(ctx, s, "count", `SELECT status, count(*) FROM `+tableOf(m.Entity)+` GROUP BY status`,
			func(rows *sql.Rows, c *count) error { return rows.Scan(&c.status, &c.n) })
		if err != nil {
			return nil, err
		}
		all[m.Entity] = make(map[pipeline.Status]int, len(counts))
		for _, c := range counts {
			all[m.Entity][c.status] = c.n
		}
	}
	return all, nil
}

// CountIn counts the rows of some statuses of one entity, through the index.
func (s *Store) CountIn(ctx context.Context, e pipeline.Entity, statuses ...pipeline.Status) (int, error) {
	total := 0
	for _, status := range statuses {
		var n int
		err := s.ro.QueryRowContext(ctx, `SELECT count(*) FROM `+tableOf(e)+` WHERE status = ?`, status).Scan(&n)
		if err != nil {
			return 0, wrap("count", s.classify(ctx, err))
		}
		total += n
	}
	return total, nil
}

// FilesOfGroup returns all files of a group that were ever tracked, oldest
// first. It reads the whole table: for people, not for a pass.
func (s *Store) FilesOfGroup(ctx context.Context, product, groupKey string) ([]pipeline.File, error) {
	return query(ctx, s, "files of group "+groupKey, `
		SELECT `+fileColumns+` FROM files WHERE product = ? AND group_key = ? ORDER BY id`, scanFile, product, groupKey)
}
