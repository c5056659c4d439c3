package main

import (
	"context"
	"fmt"

	"longhaul/tests/engines"
)

func startSlurm(ctx context.Context, dir string) ([]string, func() error, error) {
	s, err := engines.NewSlurm(ctx, dir, engines.SlurmOptions{})
	if err != nil {
		return nil, nil, err
	}
	return s.Env(), s.Stop, nil
}

func startGridEngine(ctx context.Context, dir string) ([]string, func() error, error) {
	g, err := engines.NewGridEngine(ctx, dir, engines.GridEngineOptions{})
	if err != nil {
		return nil, nil, err
	}
	return g.Env(), g.Stop, nil
}

// The variables of the databases are those of their own clients.

func startPostgres(ctx context.Context, dir string) ([]string, func() error, error) {
	p, err := engines.NewPostgres(ctx, dir)
	if err != nil {
		return nil, nil, err
	}
	return []string{
		"PGHOST=" + p.Host, fmt.Sprintf("PGPORT=%d", p.Port),
		"PGUSER=" + p.User, "PGPASSWORD=" + p.Password, "PGDATABASE=" + p.Database,
	}, p.Stop, nil
}

func startMariaDB(ctx context.Context, dir string) ([]string, func() error, error) {
	m, err := engines.NewMariaDB(ctx, dir)
	if err != nil {
		return nil, nil, err
	}
	return []string{
		"MYSQL_HOST=" + m.Host, fmt.Sprintf("MYSQL_TCP_PORT=%d", m.Port),
		"MYSQL_USER=" + m.User, "MYSQL_PWD=" + m.Password, "MYSQL_DATABASE=" + m.Database,
	}, m.Stop, nil
}
