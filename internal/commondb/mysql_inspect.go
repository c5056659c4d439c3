package commondb

import (
	"context"
	"fmt"
	"slices"
	"strings"
)

func (mysqlDialect) about(ctx context.Context, q querier) (version string, tls bool, err error) {
	var name, cipher string
	err = q.QueryRowContext(ctx, `SELECT version()`).Scan(&version)
	if err == nil {
		err = q.QueryRowContext(ctx, `SHOW SESSION STATUS LIKE 'Ssl_cipher'`).Scan(&name, &cipher)
	}
	if !strings.Contains(version, "MariaDB") {
		version = "MySQL " + version
	}
	return version, cipher != "", err
}

// rights looks at what is granted beyond the needed for the database or all of
// them. What is missing shows in the trial: the server tells a user only of
// rights that it has, and those of its roles in another place.
func (mysqlDialect) rights(ctx context.Context, q querier, _ catalog) (missing, more []string, err error) {
	rows, err := q.QueryContext(ctx, `
		SELECT DISTINCT PRIVILEGE_TYPE FROM information_schema.SCHEMA_PRIVILEGES WHERE TABLE_SCHEMA = database()
		 UNION SELECT DISTINCT PRIVILEGE_TYPE FROM information_schema.USER_PRIVILEGES`)
	if err != nil {
		return nil, nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var right string
		if err := rows.Scan(&right); err != nil {
			return nil, nil, err
		}
		if !slices.Contains([]string{"USAGE", "SELECT", "INSERT"}, right) {
			more = append(more, right)
		}
	}
	return nil, more, rows.Err()
}

func (mysqlDialect) durability(ctx context.Context, q querier) (settings string, weak bool, err error) {
	var flush string
	err = q.QueryRowContext(ctx, `SELECT @@innodb_flush_log_at_trx_commit`).Scan(&flush)
	return fmt.Sprintf("innodb_flush_log_at_trx_commit %s", flush), flush != "1" && flush != "3", err
}
