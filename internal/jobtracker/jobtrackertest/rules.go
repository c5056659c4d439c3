package jobtrackertest

import "longhaul/internal/jobtracker"

// rule is something that holds at every moment; broken selects a line of text
// for each row that breaks it.
type rule struct {
	promise string
	broken  string
}

// soundness are the rules that SQLite can check; a server checks itself.
func soundness(path string) []rule {
	if jobtracker.OnServer(path) {
		return nil
	}
	return []rule{
		{"the database is sound",
			`SELECT integrity_check FROM pragma_integrity_check WHERE integrity_check <> 'ok'`},
		{"what a row refers to exists",
			`SELECT "table" || ' row ' || rowid || ' refers to no row of ' || parent FROM pragma_foreign_key_check`},
	}
}

// rules are the promises that one SELECT can check.
func rules() []rule {
	return []rule{
		// Raw data.
		{"no file is deleted, or marked for it, while a job may need it",
			`SELECT 'file ' || files.id || ' is ' || files.status || ', job ' || jobs.id || ' is ' || jobs.status
			   FROM files JOIN job_files ON job_files.file_id = files.id JOIN jobs ON jobs.id = job_files.job_id
			  WHERE (files.status = 'deleted' OR files.delete_wanted = 1)
			    AND jobs.status NOT IN ('uploaded', 'terminal_failure')`},
		{"the input of a job that is not given up is whole and here, or was",
			`SELECT 'file ' || files.id || ' is ' || files.status || ', job ' || jobs.id || ' is ' || jobs.status
			   FROM files JOIN job_files ON job_files.file_id = files.id JOIN jobs ON jobs.id = job_files.job_id
			  WHERE files.status NOT IN ('downloaded', 'added', 'deleted')`},
		{"no file is deleted that was not to be deleted",
			`SELECT 'file ' || id FROM files WHERE status = 'deleted' AND delete_wanted = 0`},
		{"a file with a job is not grouped again",
			`SELECT 'file ' || id FROM files WHERE grouped = 0 AND id IN (SELECT file_id FROM job_files)`},
		{"the bytes that are here fit the file's status",
			`SELECT 'file ' || id || ' is ' || status || ' with ' || bytes || ' of ' || size || ' bytes' FROM files
			  WHERE bytes <> CASE WHEN status IN ('added', 'downloaded') THEN size
			                      WHEN status IN ('terminal_failure', 'deleted', 'new') THEN 0
			                      WHEN bytes < 0 THEN 0 WHEN bytes > size THEN size ELSE bytes END`},
		{"a downloaded file has a digest",
			`SELECT 'file ' || id FROM files WHERE status = 'downloaded' AND digest = ''`},

		// Downloads.
		{"a file that is being fetched has the one attempt that does it",
			`SELECT 'file ' || id || ' is ' || status FROM files
			  WHERE (SELECT count(*) FROM download_attempts a WHERE a.file_id = files.id AND a.status = 'downloading')
			        <> CASE WHEN status = 'downloading' THEN 1 ELSE 0 END
			     OR (SELECT count(*) FROM download_attempts a WHERE a.file_id = files.id AND a.status IN ('complete', 'unknown'))
			        <> CASE WHEN status = 'unverified' THEN 1 ELSE 0 END`},
		{"a file is fetched at most once",
			`SELECT 'file ' || file_id || ' has ' || count(*) || ' attempts that succeeded' FROM download_attempts
			  WHERE status = 'downloaded' GROUP BY file_id HAVING count(*) > 1`},
		{"no more attempts of a file count than failed since it was last given up",
			`SELECT 'file ' || id || ' has ' || attempts FROM files
			  WHERE attempts NOT BETWEEN 0 AND (` + failures("file", "files") + `)`},

		// Jobs.
		{"a job has input",
			`SELECT 'job ' || id FROM jobs WHERE id NOT IN (SELECT job_id FROM job_files)`},
		{"a job is as large as its input",
			`SELECT 'job ' || id FROM jobs
			  WHERE size <> (SELECT sum(files.size) FROM job_files JOIN files ON files.id = file_id WHERE job_id = jobs.id)`},
		{"a job is in the queue once if it is submitted, and else not at all",
			`SELECT 'job ' || id || ' is ' || status FROM jobs
			  WHERE (SELECT count(*) FROM job_submits s WHERE s.job_id = jobs.id AND s.status IN ('submitting', 'running'))
			        <> CASE WHEN status = 'submitted' THEN 1 ELSE 0 END`},
		{"a job has results to upload if it is processed, and else none",
			`SELECT 'job ' || id || ' is ' || status FROM jobs
			  WHERE (SELECT count(*) FROM job_submits s WHERE s.job_id = jobs.id AND s.status = 'processed')
			        <> CASE WHEN status = 'processed' THEN 1 ELSE 0 END`},
		{"a job is uploaded once",
			`SELECT 'job ' || id || ' is ' || status FROM jobs
			  WHERE (SELECT count(*) FROM job_submits s WHERE s.job_id = jobs.id AND s.status = 'uploaded')
			        <> CASE WHEN status = 'uploaded' THEN 1 ELSE 0 END`},
		{"as many attempts of a job count as failed since it was last given up",
			`SELECT 'job ' || id || ' has ' || attempts FROM jobs WHERE attempts <> (` + countingFailures + `)`},
		{"a job that waits for the site is not done and has not failed otherwise",
			`SELECT 'job ' || id || ' is ' || status FROM jobs
			  WHERE site_faults <> 0 AND status NOT IN ('retrying', 'submitted')`},
		{"a submit whose job is not to blame does not count",
			`SELECT 'submit ' || id || ' is ' || status FROM job_submits
			  WHERE site_fault = 1 AND status NOT IN ('removed', 'submission_failed')`},
		{"only the breaker's pause, of submissions, has probes",
			`SELECT kind FROM pauses WHERE breaker = 0 AND (probes <> 0 OR probe IS NOT NULL OR probe_at <> '')
			     OR breaker = 1 AND (kind <> 'submissions' OR probe_at = '') OR (probes = 0) <> (probe IS NULL)`},
		{"a submit that runs has a queue ID",
			`SELECT 'submit ' || id FROM job_submits WHERE status = 'running' AND queue_id = ''`},

		// Mail.
		{"a mail carries as many notices as it says",
			`SELECT 'mail ' || id || ' says ' || count FROM mails
			  WHERE count <> (SELECT count(*) FROM notices WHERE mail_id = mails.id)`},
		{"a mail carries notices of its kind only",
			`SELECT 'notice ' || notices.id FROM notices JOIN mails ON mails.id = mail_id WHERE mails.kind <> notices.kind`},
	}
}

// countingFailures is failures for jobs, less those that the breaker gave back
// since. That it tried a job again which was given up is no new beginning: such
// an event follows at once that of the submit.
const countingFailures = `
	SELECT count(*) FILTER (WHERE e.entity = 'job') - count(*) FILTER (WHERE e.entity = 'submit') FROM events e
	 WHERE (e.entity = 'job' AND e.entity_id = jobs.id AND e.became = 'failed'
	        OR e.entity = 'submit' AND e.entity_id IN (SELECT s.id FROM job_submits s WHERE s.job_id = jobs.id)
	           AND e.was IN ('processing_failed', 'submission_failed') AND e.became = 'removed')
	   AND e.id > coalesce((SELECT max(r.id) FROM events r
	                         WHERE r.entity = 'job' AND r.entity_id = jobs.id
	                           AND r.was = 'terminal_failure' AND r.became = 'retrying'
	                           AND NOT EXISTS (SELECT 1 FROM events g WHERE g.id = r.id - 1
	                                              AND g.entity = 'submit' AND g.became = 'removed')), 0)`

// failures counts how often the row of a table failed since an operator last
// had it tried again from its first attempt.
func failures(entity, table string) string {
	return `SELECT count(*) FROM events e
	         WHERE e.entity = '` + entity + `' AND e.entity_id = ` + table + `.id AND e.became = 'failed'
	           AND e.id > coalesce((SELECT max(r.id) FROM events r
	                                 WHERE r.entity = '` + entity + `' AND r.entity_id = ` + table + `.id
	                                   AND r.was = 'terminal_failure' AND r.became = 'retrying'), 0)`
}
