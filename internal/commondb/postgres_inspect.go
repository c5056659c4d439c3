package commondb

import (
	"context"
	"fmt"
	"maps"
	"slices"
)

func (postgresDialect) about(ctx context.Context, q querier) (version string, tls bool, err error) {
	err = q.QueryRowContext(ctx, `
		SELECT current_setting('server_version'),
		       coalesce((SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()), false)`).Scan(&version, &tls)
	return "PostgreSQL " + version, tls, err
}

func (d postgresDialect) rights(ctx context.Context, q querier, cat catalog) (missing, more []string, err error) {
	for _, name := range slices.Sorted(maps.Keys(cat)) {
		for _, right := range []string{"SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE"} {
			var has bool
			if err := q.QueryRowContext(ctx, `SELECT has_table_privilege($1::text, $2::text)`, d.quote(name), right).Scan(&has); err != nil {
				return nil, nil, err
			}
			needed := right == "SELECT" || right == "INSERT"
			if needed && !has {
				missing = append(missing, right+" on "+name)
			} else if !needed && has {
				more = append(more, right+" on "+name)
			}
		}
		if seq := cat[name].sequence; seq != "" {
			var has bool
			if err := q.QueryRowContext(ctx, `SELECT has_sequence_privilege($1::text, 'USAGE')`, seq).Scan(&has); err != nil {
				return nil, nil, err
			}
			if !has {
				missing = append(missing, "USAGE on the sequence "+seq)
			}
		}
	}
	return missing, more, nil
}

func (postgresDialect) durability(ctx context.Context, q querier) (settings string, weak bool, err error) {
	var fsync, pages, commit string
	err = q.QueryRowContext(ctx, `SELECT current_setting('fsync'), current_setting('full_page_writes'),
		current_setting('synchronous_commit')`).Scan(&fsync, &pages, &commit)
	return fmt.Sprintf("fsync %s, full_page_writes %s, synchronous_commit %s", fsync, pages, commit), fsync == "off", err
}
