package pbs

import (
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"longhaul/internal/queue"
	"longhaul/internal/queue/cluster"
)

// attributes is a job as qstat describes it, whatever the form.
type attributes struct {
	id, name, owner, state string
	exit                   string // Exit_status, "" while there is none
	substate, runs         string
	comment, hosts         string
	submitted, started     string
	ended                  string
	asked, used            limits
}

// limits are Resource_List and resources_used.
type limits struct {
	WallTime string `json:"walltime" xml:"walltime"`
	Memory   string `json:"mem" xml:"mem"`
}

// text is a JSON value of which only the words matter: PBS writes what looks
// like a number without quotes.
type text string

// UnmarshalJSON takes any value.
func (t *text) UnmarshalJSON(b []byte) error {
	var s string
	if json.Unmarshal(b, &s) != nil {
		s = string(b)
	}
	*t = text(s)
	return nil
}

// parseJSON reads the answer of "qstat -f -F json". One without jobs still tells
// which server made it.
func parseJSON(b []byte) ([]attributes, error) {
	var root struct {
		Server *string `json:"pbs_server"`
		Jobs   map[string]struct {
			Name      text            `json:"Job_Name"`
			Owner     text            `json:"Job_Owner"`
			State     text            `json:"job_state"`
			Exit      text            `json:"Exit_status"`
			Substate  text            `json:"substate"`
			Runs      text            `json:"run_count"`
			Comment   text            `json:"comment"`
			Hosts     text            `json:"exec_host"`
			Submitted text            `json:"ctime"`
			Started   text            `json:"stime"`
			Ended     text            `json:"obittime"`
			Changed   text            `json:"mtime"`
			Asked     json.RawMessage `json:"Resource_List"`
			Used      json.RawMessage `json:"resources_used"`
		}
	}
	if err := json.Unmarshal(b, &root); err != nil {
		return nil, err
	}
	if root.Server == nil {
		return nil, errors.New("it names no server")
	}
	var all []attributes
	for id, j := range root.Jobs {
		a := attributes{
			id: id, name: string(j.Name), owner: string(j.Owner), state: string(j.State), exit: string(j.Exit),
			substate: string(j.Substate), runs: string(j.Runs), comment: string(j.Comment), hosts: string(j.Hosts),
			submitted: string(j.Submitted), started: string(j.Started), ended: string(j.Ended),
		}
		if a.ended == "" {
			a.ended = string(j.Changed)
		}
		// What cannot be read of these is not known; nothing depends on it alone.
		_ = json.Unmarshal(j.Asked, &a.asked)
		_ = json.Unmarshal(j.Used, &a.used)
		all = append(all, a)
	}
	return all, nil
}

// parseXML reads the answer of Torque's "qstat -x", which is nothing at all
// while there are no jobs.
func parseXML(b []byte) ([]attributes, error) {
	if len(strings.TrimSpace(string(b))) == 0 {
		return nil, nil
	}
	var root struct {
		XMLName xml.Name `xml:"Data"`
		Jobs    []struct {
			ID        string `xml:"Job_Id"`
			Name      string `xml:"Job_Name"`
			Owner     string `xml:"Job_Owner"`
			State     string `xml:"job_state"`
			Exit      string `xml:"exit_status"`
			Runs      string `xml:"start_count"`
			Comment   string `xml:"comment"`
			Hosts     string `xml:"exec_host"`
			Submitted string `xml:"ctime"`
			Started   string `xml:"start_time"`
			Ended     string `xml:"comp_time"`
			Asked     limits `xml:"Resource_List"`
			Used      limits `xml:"resources_used"`
		} `xml:"Job"`
	}
	d := xml.NewDecoder(strings.NewReader(strings.ToValidUTF8(string(b), "?")))
	if err := d.Decode(&root); err != nil {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return nil, err
	}
	var all []attributes
	for _, j := range root.Jobs {
		if j.ID == "" || j.State == "" {
			return nil, fmt.Errorf("job %.40q in state %.40q", j.ID, j.State)
		}
		all = append(all, attributes{
			id: j.ID, name: j.Name, owner: j.Owner, state: j.State, exit: j.Exit, runs: j.Runs, comment: j.Comment,
			hosts: j.Hosts, submitted: j.Submitted, started: j.Started, ended: j.Ended, asked: j.Asked, used: j.Used,
		})
	}
	return all, nil
}

func (a attributes) job(torque bool) cluster.Job {
	j := cluster.Job{ID: a.id, Name: a.name, Submitted: moment(a.submitted)}
	node, _, _ := strings.Cut(a.hosts, "/")
	j.State = queue.State{Detail: strings.TrimSpace(a.comment), Node: node, StartedAt: moment(a.started)}
	switch a.state {
	case "R", "E", "B", "U":
		j.State.Phase = queue.Running
	case "S":
		j.State.Phase = queue.Running
		j.State.Detail = words("suspended", a.comment)
	case "F", "C", "X", "M":
		j.State.Phase, j.State.EndedAt = queue.Finished, moment(a.ended)
		j.State.Reason, j.State.ExitCode = a.end(torque)
		if n, err := strconv.Atoi(a.exit); err == nil && n < 0 {
			j.State.Detail = words("Exit_status "+a.exit, a.comment)
		}
	default: // Q, W, T, H, and what is not known
		// A job that was started before has a time and a node of then.
		j.State = queue.State{Phase: queue.Queued, Detail: j.State.Detail}
		if runs, err := strconv.Atoi(a.runs); err == nil && runs > 0 {
			j.State.Detail = words("requeued", a.comment)
		}
		if a.state == "H" {
			j.State.Detail = words("held", a.comment)
		}
	}
	return j
}

func words(first, comment string) string {
	if comment = strings.TrimSpace(comment); comment != "" {
		return first + ": " + comment
	}
	return first
}

// terminated is OpenPBS's substate of a job that somebody deleted.
const terminated = "91"

// end says what an exit status means.
func (a attributes) end(torque bool) (queue.Reason, int) {
	n, err := strconv.Atoi(a.exit)
	switch {
	case err != nil && a.state == "M":
		return queue.Lost, 0 // it went to another server, with another ID
	case err != nil && a.runs == "" || err != nil && a.substate == terminated:
		return queue.Cancelled, 0 // deleted before it had started
	case err != nil:
		return queue.Lost, 0
	case torque && n == -11, !torque && n == -29:
		return queue.TimedOut, 0
	case torque && n == -10, !torque && (n == -26 || n == -27):
		return queue.OutOfMemory, 0
	case n < 0:
		return queue.NodeFailed, 0
	case n < 256:
		return queue.Exited, n
	}
	code := 128 + n - 256
	switch {
	case reached(a.used.WallTime, a.asked.WallTime, seconds):
		return queue.TimedOut, code
	case reached(a.used.Memory, a.asked.Memory, size):
		return queue.OutOfMemory, code
	case a.substate == terminated:
		return queue.Cancelled, code
	}
	return queue.Signaled, code
}

// reached reports whether what was used is all that was asked for.
func reached(used, asked string, measure func(string) float64) bool {
	most := measure(asked)
	return most > 0 && measure(used) >= most
}

// seconds reads [[HH:]MM:]SS.
func seconds(s string) float64 {
	total := 0.0
	for part := range strings.SplitSeq(s, ":") {
		n, err := strconv.ParseFloat(part, 64)
		if err != nil || n < 0 {
			return 0
		}
		total = 60*total + n
	}
	return total
}

// size reads an amount of memory such as "2048kb" or "4gb", in bytes.
func size(s string) float64 {
	s = strings.ToLower(s)
	unit := strings.TrimLeft(s, "0123456789.")
	n, err := strconv.ParseFloat(s[:len(s)-len(unit)], 64)
	if err != nil {
		return 0
	}
	for i, u := range []string{"b", "kb", "mb", "gb", "tb"} {
		if unit == u {
			return n * float64(uint64(1)<<(10*i))
		}
	}
	return n
}

// moment reads a time: seconds since 1970 from Torque, ctime(3) in UTC from OpenPBS.
func moment(s string) time.Time {
	if n, err := strconv.ParseInt(s, 10, 64); err == nil && n > 0 {
		return time.Unix(n, 0).UTC()
	}
	t, err := time.Parse(time.ANSIC, s)
	if err != nil {
		return time.Time{}
	}
	return t
}
