package archive

import (
	"errors"
	"fmt"
	"net"
	"os"
	"slices"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"
)

// hostKeys knows by which keys a server is recognised.
type hostKeys struct {
	file  string
	known ssh.HostKeyCallback
	// accepted is set when the server has shown a key that is known: what
	// goes wrong after that is about us.
	accepted bool
}

// loadHostKeys reads a file of known hosts in OpenSSH's form.
func loadHostKeys(file string) (ssh.HostKeyCallback, error) {
	if file == "" {
		return nil, errors.New("no file of known hosts: the server could not be told from any other")
	}
	if _, err := os.Stat(file); err != nil {
		return nil, fmt.Errorf("read known hosts: %w", err)
	}
	known, err := knownhosts.New(file)
	if err != nil {
		return nil, fmt.Errorf("read known hosts: %w", err)
	}
	return known, nil
}

// check is the ssh.HostKeyCallback. Its errors say what an operator can do.
func (h *hostKeys) check(address string, remote net.Addr, key ssh.PublicKey) error {
	err := h.known(address, remote, key)
	unknown, isUnknown := errors.AsType[*knownhosts.KeyError](err)
	revoked, isRevoked := errors.AsType[*knownhosts.RevokedError](err)
	line := knownhosts.Line([]string{address}, key)
	print := ssh.FingerprintSHA256(key)
	switch {
	case err == nil:
		h.accepted = true
		return nil
	case isRevoked:
		return fmt.Errorf("its host key %s is revoked in %s, line %d", print, revoked.Revoked.Filename, revoked.Revoked.Line)
	case isUnknown && len(unknown.Want) == 0:
		return fmt.Errorf("its host key %s %s is not in %s; if that is its fingerprint, add the line: %s", key.Type(), print, h.file, line)
	case isUnknown:
		w := unknown.Want[0]
		return fmt.Errorf("its host key is %s %s, but line %d of %s has another (%s %s): this is another server, or it has a new key; "+
			"if its operators confirm that, replace the line by: %s",
			key.Type(), print, w.Line, w.Filename, w.Key.Type(), ssh.FingerprintSHA256(w.Key), line)
	}
	return fmt.Errorf("host key %s: %w", print, err)
}

// algorithms returns the kinds of keys to ask the server for: those that are
// known of it. It shows one key only, and by its own preference might show one
// that is not in the file while another is. nil means any.
func (h *hostKeys) algorithms(address string) []string {
	err := h.known(address, &net.TCPAddr{IP: net.IPv4zero}, noKey{})
	unknown, ok := errors.AsType[*knownhosts.KeyError](err)
	if !ok {
		return nil
	}
	var all []string
	for _, w := range unknown.Want {
		switch kind := w.Key.Type(); kind {
		case ssh.KeyAlgoRSA: // the key's name is also that of a signature nobody should accept
			all = append(all, ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA256)
		default:
			all = append(all, kind)
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// noKey is a key that no server has.
type noKey struct{}

func (noKey) Type() string                        { return "none" }
func (noKey) Marshal() []byte                     { return []byte("none") }
func (noKey) Verify([]byte, *ssh.Signature) error { return errors.New("no key") }
