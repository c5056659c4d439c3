package engines

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// SSHServer is a real sshd that serves a directory by SFTP and nothing else.
type SSHServer struct {
	FileServer
	Key        string // file of a private key that the user may log in with
	OtherKey   string // file of a private key that he may not
	LockedKey  string // Key, with KeyPhrase
	KeyPhrase  string
	KnownHosts string // file that has the server's host key, for Host and localhost
	Stranger   string // file of known hosts that has another key for them
	HostKey    string // file of the server's public host key
}

// SSHDPrograms are what NewSSHD starts.
func SSHDPrograms() []string { return []string{"sshd", "ssh-keygen", "unshare"} }

// NewSSHD starts sshd. Only root can: it gets a mount namespace of its own, in
// which the directory has a path that sshd accepts as a root directory (none
// below a directory that everybody may write to, as /tmp), and in which the
// user has a password.
func NewSSHD(ctx context.Context, dir string) (*SSHServer, error) {
	base, err := newFileServer(dir, 0)
	if err != nil {
		return nil, fmt.Errorf("sshd: %w", err)
	}
	s := &SSHServer{FileServer: *base, KeyPhrase: "open sesame"}
	s.User = sessionUser
	if err := s.makeKeys(ctx, dir); err != nil {
		return nil, fmt.Errorf("sshd: %w", err)
	}
	config, err := s.configure("sshd_config", strings.Join([]string{
		fmt.Sprintf("Port %d", s.Port), "ListenAddress " + s.Host,
		"HostKey " + filepath.Join(dir, "host"), "HostKey " + filepath.Join(dir, "host-ecdsa"),
		"PidFile none", "UsePAM no", "StrictModes no", "PubkeyAuthentication yes", "PasswordAuthentication yes",
		"KbdInteractiveAuthentication no", "AuthorizedKeysFile " + filepath.Join(dir, "authorized_keys"),
		"AllowUsers " + s.User, "Subsystem sftp internal-sftp", "ForceCommand internal-sftp", "ChrootDirectory /srv",
		"AllowTcpForwarding no", "X11Forwarding no", "MaxStartups 100", "MaxSessions 10", "UseDNS no",
	}, "\n")+"\n", 0o644)
	if err != nil {
		return nil, fmt.Errorf("sshd: %w", err)
	}
	shadow, err := s.makeShadow(ctx)
	if err != nil {
		return nil, fmt.Errorf("sshd: %w", err)
	}
	if err := os.MkdirAll("/run/sshd", 0o755); err != nil { // where its unprivileged part lives
		return nil, fmt.Errorf("sshd: %w", err)
	}
	sshd, err := Program("sshd")
	if err != nil {
		return nil, err
	}
	const script = `mount --bind "$1" /srv && mount --bind "$2" /etc/shadow && exec "$3" -D -e -f "$4"`
	err = s.start(ctx, Command{
		Path: "unshare", Dir: dir, Log: filepath.Join(dir, "log"),
		Args: []string{"-m", "--propagation", "private", "sh", "-c", script, "sh", s.Root, shadow, sshd, config},
	})
	if err != nil {
		return nil, fmt.Errorf("sshd: %w", err)
	}
	return s, nil
}

// makeKeys makes the keys of server and user, and the files of known hosts.
func (s *SSHServer) makeKeys(ctx context.Context, dir string) error {
	for name, how := range map[string][]string{
		"host": {"-t", "ed25519", "-N", ""}, "host-ecdsa": {"-t", "ecdsa", "-N", ""},
		"client": {"-t", "ed25519", "-N", ""}, "other": {"-t", "ed25519", "-N", ""},
	} {
		args := append([]string{"-q", "-C", name, "-f", filepath.Join(dir, name)}, how...)
		if _, err := Run(ctx, Command{Path: "ssh-keygen", Args: args}); err != nil {
			return err
		}
	}
	s.Key, s.OtherKey = filepath.Join(dir, "client"), filepath.Join(dir, "other")
	s.HostKey = filepath.Join(dir, "host.pub")
	if err := s.makeLockedKey(ctx, dir); err != nil {
		return err
	}
	if err := copyFile(s.Key+".pub", filepath.Join(dir, "authorized_keys")); err != nil {
		return err
	}
	return errors.Join(
		s.makeKnownHosts(&s.KnownHosts, filepath.Join(dir, "known_hosts"), s.HostKey),
		s.makeKnownHosts(&s.Stranger, filepath.Join(dir, "stranger"), s.OtherKey+".pub"))
}

func (s *SSHServer) makeLockedKey(ctx context.Context, dir string) error {
	s.LockedKey = filepath.Join(dir, "locked")
	text, err := os.ReadFile(s.Key)
	if err != nil {
		return err
	}
	if err := os.WriteFile(s.LockedKey, text, 0o600); err != nil {
		return err
	}
	_, err = Run(ctx, Command{Path: "ssh-keygen", Args: []string{"-q", "-p", "-P", "", "-N", s.KeyPhrase, "-f", s.LockedKey}})
	return err
}

// makeKnownHosts writes a file in which the server has one key only, although
// it has two.
func (s *SSHServer) makeKnownHosts(path *string, file, public string) error {
	*path = file
	text, err := os.ReadFile(public)
	if err != nil {
		return err
	}
	var lines strings.Builder
	fields := strings.Fields(string(text))
	for _, host := range []string{s.Host, "127.0.0.2", "localhost"} {
		fmt.Fprintf(&lines, "[%s]:%d %s %s\n", host, s.Port, fields[0], fields[1])
	}
	return os.WriteFile(file, []byte(lines.String()), 0o644)
}

// makeShadow makes a file of passwords in which the user has ours.
func (s *SSHServer) makeShadow(ctx context.Context) (path string, err error) {
	hash, err := passwordHash(ctx, s.Password)
	if err != nil {
		return "", err
	}
	return s.configure("shadow", fmt.Sprintf("%s:%s:19000:0:99999:7:::\n", s.User, hash), 0o600)
}

func copyFile(from, to string) error {
	text, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	return os.WriteFile(to, text, 0o644)
}
