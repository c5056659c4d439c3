package commondb

import (
	"errors"
	"fmt"

	"github.com/go-sql-driver/mysql"

	"longhaul/internal/pipeline"
)

func (mysqlDialect) classify(err error) error { return mysqlError(err) }

// mysqlCode is the server's number for an error; 0: it is not the server's.
func mysqlCode(err error) uint16 {
	var me *mysql.MySQLError
	if errors.As(err, &me) {
		return me.Number
	}
	return 0
}

// contended: a deadlock, or a row that changed since it was read.
func (mysqlDialect) contended(err error) bool {
	code := mysqlCode(err)
	return code == 1213 || code == 1020
}

func (mysqlDialect) duplicate(err error) bool { return mysqlCode(err) == 1062 }

// mysqlCause is what a person has to do something about. All may pass.
func mysqlCause(code uint16) Cause {
	switch code {
	case 1045, 1698, 1130, 1129, 1251, 1862, 3118, 4151: // password, host, expired, locked
		return LoginRefused
	case 1049:
		return NoDatabase
	case 1044, 1142, 1143, 1227, 1370: // database, table, column, privilege, routine
		return NoRight
	case 1146, 1054:
		return NoTables
	case 1290, 1792, 1836:
		return ReadOnly
	case 1021, 1114:
		return DiskFull
	case 1040, 1203, 1226:
		return TooMany
	case 1053, 1077, 1079, 1927, 1047:
		return ShuttingDown
	case 1205, 1213, 1020:
		return Contended
	}
	return ""
}

// mysqlError sorts by the server's number.
func mysqlError(err error) error {
	code := mysqlCode(err)
	switch {
	case err == nil || sorted(err):
		return err
	case errors.Is(err, mysql.ErrNoTLS):
		return outage(BadTLS, err)
	case errors.Is(err, mysql.ErrPktTooLarge):
		return rejected("%w", err)
	case code == 0:
		return networkError(err)
	}
	switch code {
	case 1048, 1062, 1169, 1216, 1217, 1364, 1451, 1452, 1557, 1761, 1762, 3819, 4025, // constraints
		1264, 1265, 1292, 1366, 1367, 1406, 1411, 1416, 1690, 3140, 4078, // values
		1118, 1153, 1162, 1301, 1644: // sizes, a trigger's own word
		return rejected("%w", err)
	case 1034, 1035, 1194, 1195, 1712:
		return pipeline.Fatal(fmt.Errorf("the database is damaged: %w; its administrator must look", err))
	case 1064: // our SQL is wrong
		return pipeline.Fatal(err)
	}
	return outage(mysqlCause(code), err)
}
