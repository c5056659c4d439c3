package archive

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"

	"github.com/pkg/sftp"
	"golang.org/x/crypto/ssh"
)

// sftpSession is one SSH connection with one SFTP conversation in it.
type sftpSession struct {
	*link
	client *sftp.Client
}

func (s *sftpSession) line() *link { return s.link }

func (s *sftpSession) alive() error {
	_, err := s.client.RealPath(".")
	return err
}

// authMethods returns the ways to log in, in the order in which they are tried.
func authMethods(opts SFTPOptions) (methods []ssh.AuthMethod, err error) {
	if opts.KeyFile != "" {
		signer, err := loadKey(opts.KeyFile, opts.KeyPassphrase)
		if err != nil {
			return nil, err
		}
		methods = append(methods, ssh.PublicKeys(signer))
	}
	if opts.Password != "" {
		// Many servers ask for the password in form of a questionnaire.
		answer := func(_, _ string, questions []string, echos []bool) ([]string, error) {
			answers := make([]string, len(questions))
			for i := range questions {
				if echos[i] {
					return nil, errors.New("the server asks for more than a password")
				}
				answers[i] = opts.Password
			}
			return answers, nil
		}
		methods = append(methods, ssh.Password(opts.Password), ssh.KeyboardInteractive(answer))
	}
	if len(methods) == 0 {
		return nil, errors.New("neither a key nor a password to log in with")
	}
	return methods, nil
}

// loadKey reads a private key that nobody else may read.
func loadKey(file, passphrase string) (ssh.Signer, error) {
	info, err := os.Stat(file)
	if err != nil {
		return nil, fmt.Errorf("read the private key: %w", err)
	}
	if info.Mode().Perm()&0o007 != 0 {
		return nil, fmt.Errorf("private key %s can be read by everybody (mode %04o); make it 0600", file, info.Mode().Perm())
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("read the private key: %w", err)
	}
	var signer ssh.Signer
	if passphrase == "" {
		signer, err = ssh.ParsePrivateKey(text)
	} else {
		signer, err = ssh.ParsePrivateKeyWithPassphrase(text, []byte(passphrase))
	}
	if _, locked := errors.AsType[*ssh.PassphraseMissingError](err); locked {
		return nil, fmt.Errorf("private key %s is locked by a passphrase, and none is given", file)
	}
	if err != nil {
		return nil, fmt.Errorf("private key %s: %w", file, err)
	}
	return signer, nil
}

// connect opens a connection, recognises the server, and logs in.
func (f *SFTP) connect(ctx context.Context) (*sftpSession, error) {
	s := &sftpSession{link: newLink(ctx, f.limits)}
	keys := &hostKeys{file: f.opts.KnownHosts, known: f.known}
	err := s.introduce(func() error {
		raw, err := s.sockets.dial(ctx, "tcp", f.address)
		if err != nil {
			return err
		}
		return f.converse(s, raw, keys)
	})
	if err != nil {
		s.drop()
		return nil, fmt.Errorf("connect to %s: %w", f.address, err)
	}
	f.limits.log.Debug("connected to the file server", "address", f.address)
	return s, nil
}

// converse makes the handshake and begins SFTP.
func (f *SFTP) converse(s *sftpSession, raw net.Conn, keys *hostKeys) error {
	c, channels, requests, err := ssh.NewClientConn(raw, f.address, &ssh.ClientConfig{
		User: f.opts.Username, Auth: f.auth,
		HostKeyCallback: keys.check, HostKeyAlgorithms: keys.algorithms(f.address),
		ClientVersion: "SSH-2.0-Longhaul",
	})
	if err != nil {
		return f.sortLogin(err, keys)
	}
	// Several requests for one file are under way at once: see readAhead.
	s.client, err = sftp.NewClient(ssh.NewClient(c, channels, requests), sftp.UseConcurrentReads(false))
	if err != nil {
		return fmt.Errorf("begin SFTP: %w", err)
	}
	return nil
}

// sortLogin tells a refused login from a connection that broke. Package ssh has
// no error of its own for it: it is a refusal when the server was recognised
// and is still there.
func (f *SFTP) sortLogin(err error, keys *hostKeys) error {
	_, network := errors.AsType[net.Error](err)
	if !keys.accepted || network || errors.Is(err, io.EOF) || errors.Is(err, net.ErrClosed) {
		return err
	}
	return fmt.Errorf("%w: %w", ErrLogin, err)
}
