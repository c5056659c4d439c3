package site

import (
	"crypto/tls"
	"log/slog"

	"longhaul/internal/archive"
	"longhaul/internal/config"
)

// FileServer returns the client of the file server, or the directory that is
// polled on disk.
func FileServer(c *config.Config, log *slog.Logger) (archive.FileServer, error) {
	d := c.Download
	limiter := archive.NewLimiter(int64(d.BandwidthLimit))
	if d.Source == "poll" && d.PollFrom == "disk" {
		return archive.NewDisk("/", limiter)
	}
	switch d.FileServer {
	case "sftp":
		return archive.NewSFTP(archive.SFTPOptions{
			Host: d.SFTPHost, Port: d.SFTPPort, Username: d.SFTPUsername, Password: d.SFTPPassword.Reveal(),
			KeyFile: d.SFTPKey, KeyPassphrase: d.SFTPKeyPassphrase.Reveal(), KnownHosts: d.SFTPKnownHosts,
			ConnectTimeout: d.ConnectTimeout.Std(), IdleTimeout: d.IdleTimeout.Std(),
			MinRate: int64(d.MinRate), MinRateTime: d.MinRateTime.Std(), Limiter: limiter, Log: log,
		})
	case "https":
		return archive.NewHTTPS(archive.HTTPSOptions{
			URL: d.HTTPSURL, Username: d.HTTPSUsername, Password: d.HTTPSPassword.Reveal(), Token: d.HTTPSToken.Reveal(),
			Manifest: d.HTTPSManifest, CAFile: d.HTTPSCA,
			ConnectTimeout: d.ConnectTimeout.Std(), IdleTimeout: d.IdleTimeout.Std(),
			MinRate: int64(d.MinRate), MinRateTime: d.MinRateTime.Std(), Limiter: limiter, Log: log,
		})
	case "file":
		return archive.NewDisk(d.FileRoot, limiter)
	}
	return archive.NewFTP(archive.FTPOptions{
		Host: d.FTPHost, Port: d.FTPPort, Username: d.FTPUsername, Password: d.FTPPassword.Reveal(),
		TLS: d.FTPTLS, CAFile: d.FTPTLSCA, TLSMax: tlsVersion(d.FTPTLSMax), DisableEPSV: !d.FTPEPSV,
		ConnectTimeout: d.ConnectTimeout.Std(), IdleTimeout: d.IdleTimeout.Std(),
		MinRate: int64(d.MinRate), MinRateTime: d.MinRateTime.Std(), Limiter: limiter, Log: log,
	})
}

func tlsVersion(s string) uint16 {
	if s == "1.2" {
		return tls.VersionTLS12
	}
	return tls.VersionTLS13
}
