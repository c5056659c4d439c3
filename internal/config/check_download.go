package config

import (
	"fmt"
	"net/url"
	"slices"
	"time"
)

func (r *reader) checkDownload() {
	d := r.cfg.Download
	r.oneOf("download.source", d.Source, "restore", "poll")
	r.oneOf("download.poll_from", d.PollFrom, "ftp", "disk")
	switch d.Source {
	case "restore":
		r.checkRestore(d)
	case "poll":
		r.checkPoll(d)
	}
	r.oneOf("download.file_server", d.FileServer, "ftp", "sftp", "https", "file")
	if d.Source == "restore" || d.PollFrom == "ftp" {
		r.checkServer(d)
	}
	r.checkFTP(d)
	r.checkLimits(d)
}

func (r *reader) checkRestore(d Download) {
	const example = "http://arecibo.tc.cornell.edu/palfadataapi/dataflow.asmx"
	if r.required("download.api_service_url", d.APIServiceURL, `"`+example+`"`) {
		u, err := url.Parse(d.APIServiceURL)
		if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
			r.add("download.api_service_url", fmt.Sprintf("is %q, which is no address of a web service", d.APIServiceURL),
				"begin it with http:// or https:// and a host")
		} else if u.User != nil || u.RawQuery != "" || u.Fragment != "" {
			r.add("download.api_service_url", "has more in it than a host and a path",
				"leave out user, ? and #; api_username and api_password are settings of their own")
		}
	}
	r.required("download.api_username", d.APIUsername, `"mcgill"`)
	r.requiredSecret("download.api_password", d.APIPassword)
	if len(d.RequestSizes) == 0 {
		r.add("download.request_sizes", "is empty", "list what the archive allows, as [5, 10, 20]")
		return
	}
	if d.RequestSizes[0] < 1 || !ascending(d.RequestSizes) {
		r.add("download.request_sizes", fmt.Sprintf("is %d", d.RequestSizes), "the numbers must be at least 1 and ascend, as [5, 10, 20]")
	} else if d.RequestSizes[0] > d.NumRestored {
		r.add("download.numrestored", fmt.Sprintf("is %d, which leaves no room for any request", d.NumRestored),
			fmt.Sprintf("it must be at least %d, the least of request_sizes", d.RequestSizes[0]))
	}
	r.between("download.request_numbits", d.RequestNumbits, 1, 32)
	r.required("download.request_datatype", d.RequestData, `"mock"`)
}

func ascending(numbers []int) bool {
	return slices.IsSorted(numbers) && len(slices.Compact(slices.Clone(numbers))) == len(numbers)
}

func (r *reader) checkPoll(d Download) {
	switch d.PollFrom {
	case "ftp":
		r.required("download.poll_directory", d.PollDirectory, `"/incoming"`)
	case "disk":
		r.requiredPath("download.poll_directory", d.PollDirectory, "/data/incoming")
		if d.PollDirectory != "" && d.PollDirectory == d.Temp {
			r.add("download.poll_directory", "is the same as temp", "give downloads a directory of their own")
		}
	}
}

// checkServer asks for what the file server cannot be reached without.
func (r *reader) checkServer(d Download) {
	switch d.FileServer {
	case "ftp":
		r.required("download.ftp_host", d.FTPHost, `"arecibo.tc.cornell.edu"`)
		r.required("download.ftp_username", d.FTPUsername, `"palfadata"`)
		r.requiredSecret("download.ftp_password", d.FTPPassword)
	case "sftp":
		r.required("download.sftp_host", d.SFTPHost, `"archive.example.org"`)
		r.between("download.sftp_port", d.SFTPPort, 1, 65535)
		r.required("download.sftp_username", d.SFTPUsername, `"longhaul"`)
		r.requiredPath("download.sftp_known_hosts", d.SFTPKnownHosts, "/etc/longhaul/known_hosts")
		if d.SFTPKey != "" {
			r.absolute("download.sftp_key", d.SFTPKey)
		} else {
			r.requiredSecret("download.sftp_password", d.SFTPPassword)
		}
	case "https":
		r.checkHTTPS(d)
	case "file":
		r.requiredPath("download.file_root", d.FileRoot, "/data/archive")
	}
}

func (r *reader) checkHTTPS(d Download) {
	if r.required("download.https_url", d.HTTPSURL, `"https://archive.example.org/data/"`) {
		u, err := url.Parse(d.HTTPSURL)
		if err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
			r.add("download.https_url", "is no https:// with a host and a path, and no more", `write it as "https://archive.example.org/data/"`)
		}
	}
	if d.HTTPSToken != "" && d.HTTPSUsername != "" {
		r.add("download.https_token", "is set, and so is https_username", "log in by one of them")
	}
}

func (r *reader) checkFTP(d Download) {
	r.between("download.ftp_port", d.FTPPort, 1, 65535)
	r.required("download.ftp_directory", d.FTPDirectory, `"/"`)
	r.oneOf("download.ftp_tls", d.FTPTLS, "off", "explicit", "implicit")
	r.oneOf("download.ftp_tls_max", d.FTPTLSMax, "1.2", "1.3")
	for path, file := range map[string]string{
		"download.ftp_tls_ca": d.FTPTLSCA, "download.https_ca": d.HTTPSCA, "download.api_ca": d.APICA,
	} {
		if file != "" {
			r.absolute(path, file)
		}
	}
}

func (r *reader) checkLimits(d Download) {
	r.atLeastDuration("download.api_timeout", d.APITimeout, time.Second)
	r.atLeastDuration("download.connect_timeout", d.ConnectTimeout, time.Second)
	r.atLeastDuration("download.idle_timeout", d.IdleTimeout, time.Second)
	r.atLeastDuration("download.request_timeout", d.RequestTimeout, time.Minute)
	r.atLeastDuration("download.min_rate_time", d.MinRateTime, time.Second)
	if d.BandwidthLimit > 0 && int64(d.MinRate) > int64(d.BandwidthLimit)/int64(max(1, d.NumDownloads)) {
		r.add("download.min_rate", fmt.Sprintf("is %s, which %d downloads at once can never reach", d.MinRate, d.NumDownloads),
			fmt.Sprintf("it must be at most bandwidth_limit (%s) divided by numdownloads", d.BandwidthLimit))
	}
	r.requiredPath("download.temp", d.Temp, "/data/longhaul/raw")
	switch {
	case d.SpaceToUse > 0:
	case r.cfg.origin.given("download.space_to_use"):
		r.add("download.space_to_use", "is "+d.SpaceToUse.String(), `it must be more than nothing, as "500GB"`)
	default:
		r.required("download.space_to_use", "", `"500GB"`)
	}
	r.atLeast("download.numdownloads", d.NumDownloads, 1)
	r.atLeast("download.numrestored", d.NumRestored, 1)
	r.atLeast("download.numretries", d.NumRetries, 1)
	r.notShorter("download.retry_wait_max", d.RetryWaitMax, "retry_wait", d.RetryWait)
}
