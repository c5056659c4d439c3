package jobtracker

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"longhaul/internal/pipeline"
)

// mostProblems bounds what is listed of one kind of trouble: a damaged file can
// have a line for each of its rows.
const mostProblems = 100

// Examine reads a whole job-tracker, which nobody need be able to open, and
// returns a line for each thing that is damaged. It changes nothing. The error
// says why it could not be read, or that it is no job-tracker, or of a newer
// version than this program knows.
func Examine(ctx context.Context, path string) (problems []string, err error) {
	if err := refuseServer(path); err != nil {
		return nil, err
	}
	if err := refuseUnsafe(path); err != nil {
		return nil, err
	}
	s := connectFile(path, Options{Actor: "examine"}.withDefaults())
	defer func() { err = errors.Join(err, s.Close()) }()
	if err := s.refuseNewer(ctx); err != nil {
		return damage(nil, err)
	}
	return s.Problems(ctx)
}

// refuseNewer refuses what is no job-tracker, or one of a newer program.
func (s *Store) refuseNewer(ctx context.Context) error {
	steps, err := s.steps()
	if err != nil {
		return err
	}
	if is, err := s.version(ctx, s.rw); err != nil {
		return err
	} else if is > len(steps) {
		return wrongVersion(is, len(steps))
	}
	return nil
}

// Problems returns a line for each page, row or index that is damaged, and for
// each row that refers to one that is missing; none for a database on a server,
// whose checks are the server's business.
func (s *Store) Problems(ctx context.Context) ([]string, error) {
	lines, err := s.problems(ctx)
	return lines, wrap("look for damage", err)
}

// Breach is a row that is not as the store could have left it.
type Breach struct {
	Entity pipeline.Entity
	ID     int64
	What   string
}

func scanBreach(rows *sql.Rows, b *Breach) error { return rows.Scan(&b.Entity, &b.ID, &b.What) }

// Breaches follows the history of every row, and compares the rows that must
// agree with each other. It reads all there is: for people, not for a pass.
func (s *Store) Breaches(ctx context.Context) ([]Breach, error) {
	all, err := s.forbidden(ctx)
	if err != nil {
		return nil, err
	}
	queries := []string{brokenChain}
	for _, m := range pipeline.Machines() {
		queries = append(queries, historyEnd(m.Entity))
	}
	for _, text := range append(queries, disagreements()...) {
		some, err := query(ctx, s, "check the history", text+` LIMIT ?`, scanBreach, mostProblems)
		if err != nil {
			return nil, err
		}
		all = append(all, some...)
	}
	return all, nil
}

// forbidden finds the transitions in the history that no state machine has.
func (s *Store) forbidden(ctx context.Context) ([]Breach, error) {
	kinds, err := query(ctx, s, "transitions in the history", `
		SELECT entity, was, became, min(entity_id), min(id) FROM events
		 WHERE was <> '' OR became <> '' GROUP BY entity, was, became`,
		func(rows *sql.Rows, e *pipeline.Event) error {
			return rows.Scan(&e.Entity, &e.Was, &e.Became, &e.EntityID, &e.ID)
		})
	var found []Breach
	for _, e := range kinds {
		if !pipeline.MachineOf(e.Entity).Allows(e.Was, e.Became) {
			found = append(found, Breach{e.Entity, e.EntityID,
				fmt.Sprintf("event %d took it from %q to %q, which cannot be", e.ID, e.Was, e.Became)})
		}
	}
	return found, err
}

// brokenChain finds events that do not begin where the one before has ended.
const brokenChain = `
	SELECT entity, entity_id, 'event ' || id || ' took it from "' || was || '", but it was "' || before || '"'
	  FROM (SELECT id, entity, entity_id, was, became,
	               lag(became, 1, '') OVER (PARTITION BY entity, entity_id ORDER BY id) AS before
	          FROM events WHERE was <> '' OR became <> '') AS chain
	 WHERE was <> before`

// historyEnd finds rows whose status is not where their history ends.
func historyEnd(e pipeline.Entity) string {
	return `
	SELECT '` + string(e) + `', id, 'it is "' || status || '", but its history ends with "' || last || '"'
	  FROM (SELECT id, status, coalesce((SELECT became FROM events
	                                      WHERE entity = '` + string(e) + `' AND entity_id = t.id AND became <> ''
	                                      ORDER BY events.id DESC LIMIT 1), '') AS last
	          FROM ` + tableOf(e) + ` AS t) AS ends
	 WHERE status <> last`
}

// disagreements are the things that two rows, or two columns, must agree in.
func disagreements() []string {
	return []string{
		`SELECT 'file', files.id, 'it is ' || files.status || ', but job ' || jobs.id || ', which is ' || jobs.status || ', needs it'
		   FROM files JOIN job_files ON job_files.file_id = files.id JOIN jobs ON jobs.id = job_files.job_id
		  WHERE files.status <> 'deleted' AND files.delete_wanted = 1
		    AND jobs.status NOT IN ('uploaded', 'terminal_failure')`,
		`SELECT 'file', id, 'it is deleted, though nobody wanted that' FROM files WHERE status = 'deleted' AND delete_wanted = 0`,
		`SELECT 'file', id, 'it is ' || status || ', but its download attempts say something else' FROM files
		  WHERE (SELECT count(*) FROM download_attempts AS a WHERE a.file_id = files.id AND a.status = 'downloading')
		        <> CASE WHEN status = 'downloading' THEN 1 ELSE 0 END
		     OR (SELECT count(*) FROM download_attempts AS a WHERE a.file_id = files.id AND a.status IN ('complete', 'unknown'))
		        <> CASE WHEN status = 'unverified' THEN 1 ELSE 0 END`,
		`SELECT 'job', id, 'it is ' || status || ', but its submits say something else' FROM jobs
		  WHERE (SELECT count(*) FROM job_submits AS s WHERE s.job_id = jobs.id AND s.status IN ('submitting', 'running'))
		        <> CASE WHEN status = 'submitted' THEN 1 ELSE 0 END
		     OR (SELECT count(*) FROM job_submits AS s WHERE s.job_id = jobs.id AND s.status = 'processed')
		        <> CASE WHEN status = 'processed' THEN 1 ELSE 0 END
		     OR (SELECT count(*) FROM job_submits AS s WHERE s.job_id = jobs.id AND s.status = 'uploaded')
		        <> CASE WHEN status = 'uploaded' THEN 1 ELSE 0 END`,
		`SELECT 'job', id, 'it has no input' FROM jobs WHERE id NOT IN (SELECT job_id FROM job_files)`,
	}
}
