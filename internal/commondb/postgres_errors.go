package commondb

import (
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"longhaul/internal/pipeline"
)

func (postgresDialect) classify(err error) error { return postgresError(err) }

func postgresCode(err error) string {
	var pe *pgconn.PgError
	if errors.As(err, &pe) {
		return pe.Code
	}
	return ""
}

// contended: a serialization failure or a deadlock.
func (postgresDialect) contended(err error) bool {
	code := postgresCode(err)
	return code == "40001" || code == "40P01"
}

func (postgresDialect) duplicate(err error) bool { return postgresCode(err) == "23505" }

// postgresCauses are the codes that a person has to do something about, or
// their classes. All may pass.
func postgresCause(code string) Cause {
	switch code {
	case "42501":
		return NoRight
	case "42P01", "42703", "3F000":
		return NoTables
	case "3D000":
		return NoDatabase
	case "25006":
		return ReadOnly
	case "53100":
		return DiskFull
	case "53300":
		return TooMany
	case "57P01", "57P02", "57P03":
		return ShuttingDown
	case "40001", "40P01", "55P03":
		return Contended
	}
	if class(code) == "28" {
		return LoginRefused
	}
	return ""
}

func class(code string) string { return code[:min(2, len(code))] }

// postgresError sorts by the SQLSTATE, of which the first two letters are the
// class.
func postgresError(err error) error {
	var pe *pgconn.PgError
	switch {
	case err == nil || sorted(err):
		return err
	case !errors.As(err, &pe) && strings.HasSuffix(err.Error(), "server refused TLS connection"):
		return outage(BadTLS, err) // the driver has no other sign of it
	case pe == nil:
		return networkError(err)
	}
	switch class(pe.Code) {
	case "22", "23", "44", "54", "P0": // data, constraints, a view's check, limits, a trigger's own word
		if pe.Detail != "" {
			err = fmt.Errorf("%w: %.300s", err, pe.Detail)
		}
		return rejected("%w", err)
	case "XX":
		if pe.Code != "XX000" {
			return pipeline.Fatal(fmt.Errorf("the database is damaged: %w; its administrator must look", err))
		}
	}
	if pe.Code == "42601" { // our SQL is wrong
		return pipeline.Fatal(err)
	}
	return outage(postgresCause(pe.Code), err)
}
