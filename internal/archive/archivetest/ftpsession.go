package archivetest

import (
	"bufio"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"path"
	"strconv"
	"strings"
	"time"
)

// patience is how long the server waits for a client, to speak on the control
// connection or to open a data connection.
const patience = 5 * time.Minute

// ftpSession is one control connection.
type ftpSession struct {
	server *FileServer
	raw    net.Conn
	conn   net.Conn // raw, or TLS over it
	lines  *bufio.Reader
	config *tls.Config // nil without TLS

	user     string
	loggedIn bool
	private  bool // PROT P
	dir      string
	offset   int64 // by REST, for the next RETR
	passive  net.Listener
	over     bool // no more commands are wanted
}

func newSession(s *FileServer, raw net.Conn) *ftpSession {
	c := &ftpSession{server: s, raw: raw, conn: raw, lines: bufio.NewReader(raw), dir: "/"}
	if s.opts.CA != nil {
		c.config = s.tlsConfig()
	}
	return c
}

// serve answers commands until the client leaves.
func (c *ftpSession) serve() {
	defer c.end()
	c.server.update(func() { c.server.stats.Connections++ })
	if c.server.isDown() {
		c.reply(421, "service not available, try again later")
		return
	}
	c.reply(220, "archive ready")
	for !c.over {
		if err := c.conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
			return
		}
		line, err := c.lines.ReadSlice('\n') // a line too long for its buffer is an error
		if err != nil {
			return
		}
		name, argument, _ := strings.Cut(strings.TrimRight(string(line), "\r\n"), " ")
		c.command(strings.ToUpper(name), argument)
	}
}

func (c *ftpSession) end() {
	c.closePassive()
	if c.loggedIn {
		c.server.update(func() { c.server.loggedIn-- })
	}
}

// reply says one line; a client that is gone shows at the next read.
func (c *ftpSession) reply(code int, words string) { c.say(fmt.Sprintf("%d %s", code, words)) }

func (c *ftpSession) say(text string) {
	if c.conn.SetWriteDeadline(time.Now().Add(patience)) != nil {
		return
	}
	_, err := io.WriteString(c.conn, text+"\r\n")
	c.over = c.over || err != nil
}

func (c *ftpSession) command(name, argument string) {
	c.server.update(func() { c.server.stats.Commands[name]++ })
	if c.beforeLogin(name, argument) {
		return
	}
	if !c.loggedIn {
		c.reply(530, "please log in with USER and PASS")
		return
	}
	switch name {
	case "PWD":
		c.reply(257, `"`+c.dir+`" is the current directory`)
	case "CWD":
		c.changeDir(argument)
	case "TYPE", "PBSZ":
		c.reply(200, "done")
	case "PROT":
		c.protect(argument)
	case "EPSV", "PASV":
		c.openPassive(name)
	case "REST":
		c.restart(argument)
	case "SIZE", "MDTM":
		c.describe(name, argument)
	case "RETR":
		c.retrieve(argument)
	case "MLSD", "LIST":
		c.list(name, argument)
	default:
		c.reply(502, "command not offered here")
	}
}

// beforeLogin handles the commands that are good at any time, and reports
// whether this was one.
func (c *ftpSession) beforeLogin(name, argument string) bool {
	switch name {
	case "AUTH":
		c.startTLS(argument)
	case "USER":
		if c.config != nil && c.conn == c.raw {
			c.reply(550, "TLS is required on the control connection")
			return true
		}
		c.user = argument
		c.reply(331, "password, please")
	case "PASS":
		c.login(argument)
	case "FEAT":
		c.features()
	case "NOOP", "OPTS":
		c.reply(200, "done")
	case "QUIT":
		c.reply(221, "goodbye")
		c.over = true
	default:
		return false
	}
	return true
}

func (c *ftpSession) startTLS(kind string) {
	if c.config == nil || !strings.EqualFold(kind, "TLS") {
		c.reply(502, "TLS is not offered")
		return
	}
	c.reply(234, "start TLS")
	c.conn = tls.Server(c.raw, c.config)
	c.lines = bufio.NewReader(c.conn)
}

func (c *ftpSession) login(password string) {
	switch {
	case c.loggedIn || c.user == "":
		c.reply(503, "user name first")
	case c.user != c.server.opts.Username || password != c.server.opts.Password:
		c.reply(530, "login incorrect")
	case !c.server.login():
		c.reply(530, fmt.Sprintf("sorry, the maximum number of allowed users (%d) are already connected", c.server.opts.MaxClients))
		c.over = true
	default:
		c.loggedIn = true
		c.reply(230, "logged in")
	}
}

func (c *ftpSession) features() {
	features := []string{"211-Features:", " SIZE", " MDTM", " UTF8"}
	if !c.server.opts.NoMLSD {
		features = append(features, " MLST type*;size*;modify*;")
	}
	if !c.server.opts.NoEPSV {
		features = append(features, " EPSV")
	}
	if !c.server.opts.NoREST {
		features = append(features, " REST STREAM")
	}
	if c.config != nil {
		features = append(features, " AUTH TLS", " PBSZ", " PROT")
	}
	c.say(strings.Join(append(features, "211 End"), "\r\n"))
}

func (c *ftpSession) protect(level string) {
	switch {
	case c.conn == c.raw:
		c.reply(503, "no TLS here")
	case !strings.EqualFold(level, "P"):
		c.reply(534, "data connections must be private")
	default:
		c.private = true
		c.reply(200, "done")
	}
}

func (c *ftpSession) restart(argument string) {
	offset, err := strconv.ParseInt(argument, 10, 64)
	switch {
	case c.server.opts.NoREST:
		c.reply(502, "REST is not offered here")
	case err != nil || offset < 0:
		c.reply(501, "not an offset")
	default:
		c.offset = offset
		c.reply(350, "restarting there")
	}
}

// resolve returns a path as it is on the server, absolute, and as it is
// beneath the root.
func (c *ftpSession) resolve(name string) (absolute, beneath string) {
	if !path.IsAbs(name) {
		name = path.Join(c.dir, name)
	}
	absolute = path.Clean(name)
	if absolute == "/" {
		return absolute, "."
	}
	return absolute, absolute[1:]
}

func (c *ftpSession) changeDir(argument string) {
	absolute, beneath := c.resolve(argument)
	info, err := c.server.root.Stat(beneath)
	if err != nil || !info.IsDir() {
		c.reply(550, "no such directory")
		return
	}
	c.dir = absolute
	c.reply(250, "done")
}

var errNotRegular = errors.New("not a regular file")

// stat returns what is known of a regular file.
func (c *ftpSession) stat(beneath string) (fs.FileInfo, error) {
	info, err := c.server.root.Stat(beneath)
	if err == nil && !info.Mode().IsRegular() {
		err = errNotRegular
	}
	return info, err
}

// describe answers SIZE and MDTM.
func (c *ftpSession) describe(name, argument string) {
	_, beneath := c.resolve(argument)
	info, err := c.stat(beneath)
	switch {
	case err != nil:
		c.reply(550, "no such file")
	case name == "SIZE":
		c.reply(213, strconv.FormatInt(info.Size(), 10))
	default:
		c.reply(213, info.ModTime().UTC().Format(factTime))
	}
}
