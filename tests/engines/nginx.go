package engines

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
)

// NginxOptions say how the server is to be used.
type NginxOptions struct {
	Wrong   bool // show a certificate for another host
	Rounded bool // no exact sizes in its index pages
	NoIndex bool // no index pages at all
}

// NginxServer is a real nginx that serves a directory by HTTPS.
//
// /basic/ wants user and password, /bearer/ wants the token; both show the
// whole directory, and /open/ does without either. /here/ is redirected to
// /basic/, /away/ to another host.
type NginxServer struct {
	FileServer
	Token string
}

// NginxPrograms are what NewNginx starts.
func NginxPrograms() []string { return []string{"nginx", "openssl"} }

// NewNginx starts nginx.
func NewNginx(ctx context.Context, dir string, opt NginxOptions) (*NginxServer, error) {
	base, err := newFileServer(dir, 0)
	if err != nil {
		return nil, fmt.Errorf("nginx: %w", err)
	}
	s := &NginxServer{FileServer: *base, Token: "t0ken.of/tests+=="}
	if s.Certificates, err = NewCertificates(dir); err != nil {
		return nil, fmt.Errorf("nginx: %w", err)
	}
	hash, err := passwordHash(ctx, s.Password)
	if err != nil {
		return nil, fmt.Errorf("nginx: %w", err)
	}
	if _, err := s.configure("htpasswd", s.User+":"+hash+"\n", 0o644); err != nil {
		return nil, fmt.Errorf("nginx: %w", err)
	}
	for _, part := range []string{"body", "proxy", "fastcgi", "uwsgi", "scgi"} {
		if err := mkdir(filepath.Join(dir, part)); err != nil {
			return nil, fmt.Errorf("nginx: %w", err)
		}
	}
	config, err := s.configure("nginx.conf", s.settings(dir, opt), 0o644)
	if err != nil {
		return nil, fmt.Errorf("nginx: %w", err)
	}
	err = s.start(ctx, Command{
		Path: "nginx", Dir: dir, Log: filepath.Join(dir, "log"),
		Args: []string{"-p", dir, "-e", filepath.Join(dir, "error.log"), "-c", config},
	})
	if err != nil {
		return nil, fmt.Errorf("nginx: %w", err)
	}
	return s, nil
}

func (s *NginxServer) settings(dir string, opt NginxOptions) string {
	c := s.Certificates.Server
	if opt.Wrong {
		c = s.Certificates.Wrong
	}
	onOff := map[bool]string{true: "on", false: "off"}
	return strings.NewReplacer(
		"DIR", dir, "HOST", s.Host, "PORT", fmt.Sprint(s.Port), "CERT", c.Cert, "KEY", c.Key, "TOKEN", s.Token,
		"INDEX", onOff[!opt.NoIndex], "EXACT", onOff[!opt.Rounded], "USER", sessionUser,
	).Replace(`daemon off;
worker_processes 1;
user USER nogroup;
pid DIR/pid;
events { worker_connections 256; }
http {
	access_log DIR/access.log;
	client_body_temp_path DIR/body;
	proxy_temp_path DIR/proxy;
	fastcgi_temp_path DIR/fastcgi;
	uwsgi_temp_path DIR/uwsgi;
	scgi_temp_path DIR/scgi;
	default_type application/octet-stream;
	gzip on;
	gzip_types *;
	gzip_min_length 1;
	server {
		listen HOST:PORT ssl;
		server_name localhost;
		ssl_certificate CERT;
		ssl_certificate_key KEY;
		autoindex INDEX;
		autoindex_exact_size EXACT;
		location /open/ { alias DIR/root/; }
		location /basic/ {
			alias DIR/root/;
			auth_basic "archive";
			auth_basic_user_file DIR/htpasswd;
		}
		location /bearer/ {
			alias DIR/root/;
			if ($http_authorization != "Bearer TOKEN") { return 401; }
		}
		location /here/ { rewrite ^/here/(.*)$ /basic/$1 redirect; }
		location /away/ { return 302 https://wrong.example:PORT/basic/; }
	}
}
`)
}
