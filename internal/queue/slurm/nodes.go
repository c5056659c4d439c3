package slurm

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"longhaul/internal/disk"
	"longhaul/internal/queue"
)

// What makes a node one to leave out.
const (
	atOnceTime  = time.Minute // a job that ends within this of its start died at once
	strikesOut  = 2           // so many in a row
	maxExcluded = 8           // nodes; more in trouble at a time means that it is not the nodes
	maxSeen     = 10000       // ends that are remembered, so that each counts once
)

// ExcludedNode is a node that new submissions avoid.
type ExcludedNode struct {
	Node  string    `json:"node"`
	Until time.Time `json:"until"`
	Why   string    `json:"why"`
}

// nodes keeps count of where jobs die at once. The nodes that are left out are
// kept in a file, for a restarted job pooler and for whoever asks.
type nodes struct {
	lasts   time.Duration // 0: nothing is ever left out
	trouble []int
	path    string
	log     *slog.Logger
	now     func() time.Time

	mu      sync.Mutex
	seen    map[string]bool
	strikes map[string]int
}

func newNodes(o Options) *nodes {
	return &nodes{
		lasts: o.ExcludeFor, trouble: o.NodeTrouble, path: filepath.Join(o.Dir, "slurm-excluded-nodes.json"),
		log: o.Log, now: time.Now, seen: make(map[string]bool), strikes: make(map[string]int),
	}
}

// observe learns from the end of a submission.
func (n *nodes) observe(name string, s queue.State) {
	if n.lasts <= 0 || s.Phase != queue.Finished || !validNode(s.Node) {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.seen[name] {
		return
	}
	if len(n.seen) >= maxSeen {
		clear(n.seen)
	}
	n.seen[name] = true
	switch {
	case !n.diedAtOnce(s):
		if s.Succeeded() {
			delete(n.strikes, s.Node)
		}
	case n.strikes[s.Node]+1 < strikesOut:
		n.strikes[s.Node]++
	default:
		delete(n.strikes, s.Node)
		n.exclude(ExcludedNode{s.Node, n.now().Add(n.lasts).UTC(), fmt.Sprintf("%s: %s", name, why(s))})
	}
}

// diedAtOnce reports whether a job ended soon, and not by its own fault.
func (n *nodes) diedAtOnce(s queue.State) bool {
	if !s.StartedAt.IsZero() && s.EndedAt.Sub(s.StartedAt) > atOnceTime {
		return false
	}
	return s.Reason == queue.NodeFailed || s.Reason == queue.Exited && slices.Contains(n.trouble, s.ExitCode)
}

func why(s queue.State) string {
	if s.Reason == queue.Exited {
		return fmt.Sprintf("exit status %d", s.ExitCode)
	}
	return strings.TrimSuffix(string(s.Reason)+", "+s.Detail, ", ")
}

// exclude adds a node to the file.
func (n *nodes) exclude(e ExcludedNode) {
	all := n.read()
	if _, there := all[e.Node]; !there && len(all) >= maxExcluded {
		n.log.Warn("jobs die at once on more nodes than can be left out", "node", e.Node, "why", e.Why)
		return
	}
	all[e.Node] = e
	n.log.Warn("node is left out for a while, because jobs die on it at once", "node", e.Node, "until", e.Until, "why", e.Why)
	err := disk.WriteFile(n.path, func(w io.Writer) error { return json.NewEncoder(w).Encode(sorted(all)) })
	if err != nil {
		n.log.Warn("excluded nodes", "err", err)
	}
}

// read returns the nodes in the file whose time is not over. A file that cannot
// be read excludes none.
func (n *nodes) read() map[string]ExcludedNode {
	all := make(map[string]ExcludedNode)
	text, err := os.ReadFile(n.path)
	if err == nil {
		var list []ExcludedNode
		list, err = parseExcluded(text)
		for _, e := range list {
			if now := n.now(); e.Until.After(now) && e.Until.Sub(now) <= n.lasts {
				all[e.Node] = e
			}
		}
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		n.log.Warn("excluded nodes", "err", err)
	}
	return all
}

func parseExcluded(text []byte) ([]ExcludedNode, error) {
	var list []ExcludedNode
	if err := json.Unmarshal(text, &list); err != nil {
		return nil, err
	}
	return slices.DeleteFunc(list, func(e ExcludedNode) bool { return !validNode(e.Node) }), nil
}

func sorted(all map[string]ExcludedNode) []ExcludedNode {
	list := make([]ExcludedNode, 0, len(all))
	for _, node := range slices.Sorted(maps.Keys(all)) {
		list = append(list, all[node])
	}
	return list
}

func (n *nodes) excluded() []ExcludedNode {
	if n.lasts <= 0 {
		return nil
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	return sorted(n.read())
}

// avoid is what is left out, for sbatch.
func (n *nodes) avoid() string {
	var names []string
	for _, e := range n.excluded() {
		names = append(names, e.Node)
	}
	return strings.Join(names, ",")
}
