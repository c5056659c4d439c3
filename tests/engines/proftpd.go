package engines

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
)

// ProftpdPrograms are what NewProftpd starts.
func ProftpdPrograms() []string {
	return []string{"proftpd", "ftpasswd", "/usr/lib/proftpd/mod_tls.so"}
}

// NewProftpd starts proftpd, which knows MLSD, and by default demands that data
// connections reuse the TLS session of their control connection. Started by
// root, it shows each session the directory only.
func NewProftpd(ctx context.Context, dir string, opt FTPOptions) (*FileServer, error) {
	s, err := newFileServer(dir, 32)
	if err != nil {
		return nil, fmt.Errorf("proftpd: %w", err)
	}
	if s.Certificates, err = NewCertificates(dir); err != nil {
		return nil, fmt.Errorf("proftpd: %w", err)
	}
	uid, gid, err := ids(sessionUser)
	if err != nil {
		return nil, fmt.Errorf("proftpd: %w", err)
	}
	hash, err := passwordHash(ctx, s.Password)
	if err != nil {
		return nil, fmt.Errorf("proftpd: %w", err)
	}
	users, err := s.configure("passwd", fmt.Sprintf("%s:%s:%d:%d::%s:/bin/false\n", s.User, hash, uid, gid, s.Root), 0o600)
	if err != nil {
		return nil, fmt.Errorf("proftpd: %w", err)
	}
	settings := []string{
		"ModulePath /usr/lib/proftpd", "LoadModule mod_tls.c", "ServerType standalone", `ServerIdent on "archive ready"`,
		"DefaultAddress " + s.Host, "SocketBindTight on", "UseIPv6 off", "UseReverseDNS off", fmt.Sprintf("Port %d", s.Port),
		fmt.Sprintf("PassivePorts %d %d", s.DataPorts[0], s.DataPorts[len(s.DataPorts)-1]),
		"User " + sessionUser, "Group nogroup", "DefaultRoot ~", "RequireValidShell off", "WtmpLog off", "DelayEngine off",
		"AuthOrder mod_auth_file.c", "AuthUserFile " + users, "AllowRetrieveRestart on", "MaxInstances 200",
		"ControlsEngine off", "ControlsSocket " + filepath.Join(dir, "control"), "DelayTable none",
		"PidFile " + filepath.Join(dir, "pid"), "ScoreboardFile " + filepath.Join(dir, "scoreboard"),
		"SystemLog " + filepath.Join(dir, "system.log"), "TransferLog " + filepath.Join(dir, "xferlog"),
	}
	if opt.TLS != "" {
		c := s.Certificates.Server
		if opt.Wrong {
			c = s.Certificates.Wrong
		}
		settings = append(settings, "TLSEngine on", "TLSRequired on", "TLSProtocol TLSv1.2 TLSv1.3", "TLSRenegotiate none",
			"TLSECCertificateFile "+c.Cert, "TLSECCertificateKeyFile "+c.Key, "TLSLog "+filepath.Join(dir, "tls.log"))
	}
	if opt.TLS == "implicit" {
		settings = append(settings, "TLSOptions UseImplicitSSL")
	}
	config, err := s.configure("proftpd.conf", strings.Join(settings, "\n")+"\n", 0o644)
	if err != nil {
		return nil, fmt.Errorf("proftpd: %w", err)
	}
	err = s.start(ctx, Command{Path: "proftpd", Args: []string{"-n", "-q", "-c", config}, Dir: dir, Log: filepath.Join(dir, "log")})
	if err != nil {
		return nil, fmt.Errorf("proftpd: %w", err)
	}
	return s, nil
}

// passwordHash returns a password as files of users hold it.
func passwordHash(ctx context.Context, password string) (string, error) {
	out, err := Run(ctx, Command{Path: "openssl", Args: []string{"passwd", "-6", password}})
	return strings.TrimSpace(out), err
}
