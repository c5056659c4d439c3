package engines

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
)

// FTPOptions say which kind of FTP server is wanted.
type FTPOptions struct {
	TLS   string // "", "explicit" or "implicit"; with TLS there is no login without it
	Wrong bool   // show a certificate for another host
	// MaxList is the number of entries at which a listing is cut off, where
	// the server can do that; 0: a number that no test reaches.
	MaxList int
}

// VsftpdPrograms are what NewVsftpd starts.
func VsftpdPrograms() []string { return []string{vsftpdProgram} }

const vsftpdProgram = unpacked + "/vsftpd/usr/sbin/vsftpd"

// NewVsftpd starts vsftpd, which knows LIST but not MLSD, and demands that data
// connections reuse the TLS session of their control connection. Only root can.
//
// The user is anonymous, with a password that is asked for: all others would
// have to be known to PAM, in files of the machine.
func NewVsftpd(ctx context.Context, dir string, opt FTPOptions) (*FileServer, error) {
	s, err := newFileServer(dir, 32)
	if err != nil {
		return nil, fmt.Errorf("vsftpd: %w", err)
	}
	s.User = "anonymous"
	if s.Certificates, err = NewCertificates(dir); err != nil {
		return nil, fmt.Errorf("vsftpd: %w", err)
	}
	passwords, err := s.configure("passwords", s.Password+"\n", 0o600)
	if err != nil {
		return nil, fmt.Errorf("vsftpd: %w", err)
	}
	// No blanks around "=", and no comments after a value: it would not start.
	settings := []string{
		"listen=YES", "background=NO", "listen_address=" + s.Host, fmt.Sprintf("listen_port=%d", s.Port),
		"anonymous_enable=YES", "local_enable=NO", "anon_root=" + s.Root,
		"secure_email_list_enable=YES", "email_password_file=" + passwords,
		// Its user needs a home that exists; that of nobody does not.
		"ftp_username=daemon", "nopriv_user=" + sessionUser, "secure_chroot_dir=" + filepath.Join(dir, "empty"),
		fmt.Sprintf("pasv_min_port=%d", s.DataPorts[0]), fmt.Sprintf("pasv_max_port=%d", s.DataPorts[len(s.DataPorts)-1]),
		"xferlog_enable=YES", "vsftpd_log_file=" + filepath.Join(dir, "vsftpd.log"), "log_ftp_protocol=YES", "dual_log_enable=YES",
		"xferlog_file=" + filepath.Join(dir, "xferlog"),
		"seccomp_sandbox=NO", "max_clients=100", "max_per_ip=100",
	}
	if opt.TLS != "" {
		c := s.Certificates.Server
		if opt.Wrong {
			c = s.Certificates.Wrong
		}
		settings = append(settings, "ssl_enable=YES", "require_ssl_reuse=YES", "allow_anon_ssl=YES",
			"force_anon_logins_ssl=YES", "force_anon_data_ssl=YES", "ssl_tlsv1=YES", "ssl_sslv2=NO", "ssl_sslv3=NO",
			"ssl_ciphers=HIGH", "rsa_cert_file="+c.Cert, "rsa_private_key_file="+c.Key)
	}
	if opt.TLS == "implicit" {
		settings = append(settings, "implicit_ssl=YES")
	}
	config, err := s.configure("vsftpd.conf", strings.Join(settings, "\n")+"\n", 0o644)
	if err != nil {
		return nil, fmt.Errorf("vsftpd: %w", err)
	}
	if err := mkdir(filepath.Join(dir, "empty")); err != nil {
		return nil, fmt.Errorf("vsftpd: %w", err)
	}
	err = s.start(ctx, Command{Path: vsftpdProgram, Args: []string{config}, Dir: dir, Log: filepath.Join(dir, "log")})
	if err != nil {
		return nil, fmt.Errorf("vsftpd: %w", err)
	}
	return s, nil
}
