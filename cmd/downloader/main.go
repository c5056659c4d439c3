// Command downloader is the daemon that asks the archive for raw data and fetches it.
package main

import (
	"os"

	"longhaul/internal/daemon"
)

func main() { os.Exit(daemon.Main(daemon.Downloader, os.Args[1:], os.Stderr)) }
