package engines

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
)

const (
	pureFTPdProgram = unpacked + "/pure-ftpd/usr/sbin/pure-ftpd"
	purePwProgram   = unpacked + "/pure-ftpd/usr/bin/pure-pw"
)

// PureFTPdPrograms are what NewPureFTPd starts.
func PureFTPdPrograms() []string { return []string{pureFTPdProgram, purePwProgram} }

// NewPureFTPd starts pure-ftpd, which knows MLSD, and ends every listing after
// so many entries as if that were all. Only root can. It has no implicit TLS.
func NewPureFTPd(ctx context.Context, dir string, opt FTPOptions) (*FileServer, error) {
	s, err := newFileServer(dir, 32)
	if err != nil {
		return nil, fmt.Errorf("pure-ftpd: %w", err)
	}
	if s.Certificates, err = NewCertificates(dir); err != nil {
		return nil, fmt.Errorf("pure-ftpd: %w", err)
	}
	uid, gid, err := ids(sessionUser)
	if err != nil {
		return nil, fmt.Errorf("pure-ftpd: %w", err)
	}
	hash, err := passwordHash(ctx, s.Password)
	if err != nil {
		return nil, fmt.Errorf("pure-ftpd: %w", err)
	}
	line := fmt.Sprintf("%s:%s:%d:%d::%s/./", s.User, hash, uid, gid, s.Root) + strings.Repeat(":", 12) + "\n"
	users, err := s.configure("pureftpd.passwd", line, 0o600)
	if err != nil {
		return nil, fmt.Errorf("pure-ftpd: %w", err)
	}
	database := filepath.Join(dir, "pureftpd.pdb")
	if _, err := Run(ctx, Command{Path: purePwProgram, Args: []string{"mkdb", database, "-f", users}}); err != nil {
		return nil, fmt.Errorf("pure-ftpd: %w", err)
	}
	list := opt.MaxList
	if list == 0 {
		list = 1_000_000
	}
	args := []string{
		"-S", fmt.Sprintf("%s,%d", s.Host, s.Port),
		"-p", fmt.Sprintf("%d:%d", s.DataPorts[0], s.DataPorts[len(s.DataPorts)-1]),
		"-l", "puredb:" + database, "-A", "-E", "-H", "-u", "1", "-c", "100", "-C", "100", "-L", fmt.Sprintf("%d:8", list),
		"-g", filepath.Join(dir, "pid"), "-f", "none",
	}
	if opt.TLS != "" {
		c := s.Certificates.Server
		if opt.Wrong {
			c = s.Certificates.Wrong
		}
		args = append(args, "-Y", "3", "-2", c.Both)
	}
	err = s.start(ctx, Command{Path: pureFTPdProgram, Args: args, Dir: dir, Log: filepath.Join(dir, "log")})
	if err != nil {
		return nil, fmt.Errorf("pure-ftpd: %w", err)
	}
	return s, nil
}
