package queuetest

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"longhaul/internal/queue"
)

func endsWell(b *bench) {
	before := time.Now().Add(-2 * time.Second) // batch systems count whole seconds
	spec := b.job(`echo result; echo complaint >&2`)
	state := b.await(b.submit(spec), queue.Finished)
	if !state.Succeeded() || state.Reason != queue.Exited {
		b.Errorf("the job ended %+v, want exited with 0", state)
	}
	if got := b.read(spec.Stdout, len("result\n")); got != "result\n" {
		b.Errorf("standard output is %q", got)
	}
	if got := b.read(spec.Stderr, len("complaint\n")); got != "complaint\n" {
		b.Errorf("standard error is %q", got)
	}
	if state.Node == "" {
		b.Error("the node is not told")
	}
	if !state.EndedAt.After(before) || state.StartedAt.After(state.EndedAt) || state.StartedAt.Before(before) {
		b.Errorf("it ran from %s to %s, and was submitted after %s", state.StartedAt, state.EndedAt, before)
	}
}

func endsBadly(b *bench) {
	seven := b.submit(b.job(`exit 7`))
	high := b.submit(b.job(`exit 130`)) // looks like a signal, and is none
	missing := b.job("")
	missing.Command = []string{filepath.Join(b.Dir, "no-such-program")}
	gone := b.submit(missing)
	for ref, code := range map[queue.Ref]int{seven: 7, high: 130, gone: 127} {
		if s := b.await(ref, queue.Finished); s.Reason != queue.Exited || s.ExitCode != code || s.Succeeded() {
			b.Errorf("a job ended %+v, want exited with %d", s, code)
		}
	}
}

func killed(b *bench) {
	if s := b.await(b.submit(b.job(`kill -9 $$`)), queue.Finished); s.Reason != queue.Signaled || s.ExitCode != 128+9 {
		b.Errorf("a job that was killed ended %+v, want by a signal, 137", s)
	}
}

func arriveExactly(b *bench) {
	words := []string{
		"", " blanks  around ", `"double" 'single'`, "commas,and;semicolons", "two\nlines\n",
		"$HOME ${DIR} `id` $(id)", `back\slash \n`, "* ? [a-z] ~", "-n", "%s %d", "\ttab\r", "!#&|<>(){}^=", "größer ☃",
	}
	spec := b.job(`for v in "$@" "$LH_EMPTY" "$LH_VALUE"; do printf '%s\0' "$v"; done; printf '%s\0' "${LH_EMPTY-unset}"`, words...)
	spec.Env["LH_EMPTY"] = ""
	spec.Env["LH_VALUE"] = strings.Join(words, ",")
	want := strings.Join(append(words, "", spec.Env["LH_VALUE"], ""), "\x00") + "\x00"
	if s := b.await(b.submit(spec), queue.Finished); !s.Succeeded() {
		text, _ := os.ReadFile(spec.Stderr)
		b.Fatalf("the job ended %+v: %s", s, text)
	}
	if got := b.read(spec.Stdout, len(want)); got != want {
		b.Errorf("arrived\n%q\nsent\n%q", got, want)
	}
}

func lastErrors(b *bench) {
	const lines = 2500 // of 20 bytes
	long := b.submit(b.job(`i=0; while [ $i -lt $1 ]; do i=$((i+1)); printf 'line number %07d\n' $i; done >&2`, fmt.Sprint(lines)))
	silent := b.submit(b.job(`echo only output`))
	b.await(long, queue.Finished)
	b.await(silent, queue.Finished)
	var text string
	b.until("the end of standard error", func() bool {
		var err error
		if text, err = b.Manager.Errors(b.Context(), long.ID); err != nil {
			b.Fatalf("Errors: %v", err)
		}
		return strings.HasSuffix(text, fmt.Sprintf("line number %07d\n", lines))
	})
	if len(text) > queue.TailSize || len(text) < queue.TailSize/2 {
		b.Errorf("Errors returned %d bytes, want up to %d", len(text), queue.TailSize)
	}
	if text, err := b.Manager.Errors(b.Context(), silent.ID); text != "" || err != nil {
		b.Errorf("Errors of a silent job = %q, %v, want nothing", text, err)
	}
}
