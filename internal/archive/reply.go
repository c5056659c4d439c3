package archive

import (
	"context"
	"errors"
	"fmt"
	"net/textproto"
	"strings"

	"github.com/jlaffaye/ftp"

	"longhaul/internal/pipeline"
)

// replyOf returns the code and the words if err is what the server said in
// reply to a command; code 0 means that it is something else.
func replyOf(err error) (code int, words string) {
	if reply, ok := errors.AsType[*textproto.Error](err); ok {
		return reply.Code, reply.Msg
	}
	return 0, ""
}

func isReply(err error) bool {
	code, _ := replyOf(err)
	return code != 0
}

// said makes a reply fit to show; any other error passes.
func said(err error) error {
	if code, words := replyOf(err); code != 0 {
		return fmt.Errorf("it said %d %s", code, quote(words))
	}
	return err
}

func isTooMuch(err error) bool {
	_, is := errors.AsType[tooMuchError](err)
	return is
}

// notKnown reports whether the server does not know the command.
func notKnown(err error) bool {
	switch code, _ := replyOf(err); code {
	case ftp.StatusBadCommand, ftp.StatusNotImplemented, ftp.StatusNotImplementedParameter:
		return true
	}
	return false
}

// crowded tells, by its words, a refusal of login that means "too many at the
// moment": servers use the code of a wrong password for both, so that there is
// nothing else to go by. A server with other words shows up as ErrLogin, which
// is an outage too.
func crowded(words string) bool {
	words = strings.ToLower(words)
	has := func(any ...string) bool {
		for _, s := range any {
			if strings.Contains(words, s) {
				return true
			}
		}
		return false
	}
	return has("maximum", "too many", "limit") && has("user", "client", "connection", "session")
}

// outage marks an error as one of the file server's, except that the end of
// the operation's own context is returned as it is.
func outage(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return pipeline.Outage(pipeline.FileServer, said(err))
}

// sortRefusal sorts an error from before any byte of a file was sent. A
// connection that broke is an outage; an answer may be about the file.
func sortRefusal(ctx context.Context, err error) error {
	switch code, words := replyOf(err); code {
	case 0, ftp.StatusNotAvailable, ftp.StatusCanNotOpenDataConnection, ftp.StatusTransfertAborted, ftp.StatusNotLoggedIn:
		return outage(ctx, err)
	case ftp.StatusFileUnavailable:
		return fmt.Errorf("%w: it said %d %s", ErrNoFile, code, quote(words))
	}
	return said(err)
}
