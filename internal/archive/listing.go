package archive

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/jlaffaye/ftp"
)

// Limits within a listing.
const (
	maxLine    = 16 << 10 // bytes
	maxRefused = 1000     // entries that are named; more are counted
)

// collector puts a listing together and keeps out what cannot be trusted.
type collector struct {
	listing Listing
	seen    map[string]struct{}
	refused int
}

func (c *collector) refuse(what string, why error) {
	if c.refused++; c.refused <= maxRefused {
		c.listing.Refused = append(c.listing.Refused, quote(what)+": "+why.Error())
	}
}

func (c *collector) add(e Entry) {
	if err := CheckName(e.Name); err != nil {
		c.refuse(e.Name, err)
		return
	}
	if _, twice := c.seen[e.Name]; twice {
		c.refuse(e.Name, errors.New("listed twice"))
		return
	}
	if c.seen == nil {
		c.seen = make(map[string]struct{})
	}
	c.seen[e.Name] = struct{}{}
	c.listing.Entries = append(c.listing.Entries, e)
}

func (c *collector) result() Listing {
	if more := c.refused - maxRefused; more > 0 {
		c.listing.Refused = append(c.listing.Refused, fmt.Sprintf("and %d more", more))
	}
	return c.listing
}

// parseMLSD reads a machine-readable listing (RFC 3659): one line an entry,
// facts that end in semicolons, a blank, the name.
func parseMLSD(r io.Reader) (Listing, error) {
	var c collector
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxLine)
	for lines.Scan() {
		line := lines.Text()
		if line == "" {
			continue
		}
		e, regular, err := parseFacts(line)
		if err != nil {
			c.refuse(line, err)
		} else if regular {
			c.add(e)
		}
	}
	if err := lines.Err(); err != nil {
		return Listing{}, fmt.Errorf("read the listing: %w", err)
	}
	return c.result(), nil
}

// parseFacts reads one line of a machine-readable listing. Only entries whose
// type is "file" are regular; links, directories and devices have other types.
func parseFacts(line string) (e Entry, regular bool, err error) {
	facts, name, ok := strings.Cut(line, " ")
	if !ok {
		return e, false, errors.New("no name")
	}
	e.Name, e.Size = name, -1
	for fact := range strings.SplitSeq(strings.TrimSuffix(facts, ";"), ";") {
		key, value, _ := strings.Cut(fact, "=")
		switch strings.ToLower(key) {
		case "type":
			regular = strings.EqualFold(value, "file")
		case "size":
			e.Size, err = strconv.ParseInt(value, 10, 64)
			if err != nil || e.Size < 0 {
				return e, false, errors.New("size is no number of bytes")
			}
		case "modify":
			e.ModTime, err = parseTime(value)
			if err != nil {
				return e, false, errors.New("time is not understood")
			}
		}
	}
	if regular && e.Size < 0 {
		return e, false, errors.New("no size")
	}
	return e, regular, nil
}

// parseTime reads the time of RFC 3659, which is in UTC. Fractions of a second
// are left out, as not every reply of a server has them.
func parseTime(s string) (time.Time, error) {
	t, err := time.ParseInLocation("20060102150405", s, time.UTC)
	return t.Truncate(time.Second), err
}

// fromLIST takes over a listing that is meant for people. Its times are left
// out: they come in the server's zone, which is not known, and without
// seconds, so that they would never agree with what Stat returns.
func fromLIST(entries []*ftp.Entry) Listing {
	var c collector
	for _, e := range entries {
		switch {
		case e.Type != ftp.EntryTypeFile:
		case e.Size > math.MaxInt64:
			c.refuse(e.Name, errors.New("size is no number of bytes"))
		default:
			c.add(Entry{Name: e.Name, Size: int64(e.Size)})
		}
	}
	return c.result()
}
