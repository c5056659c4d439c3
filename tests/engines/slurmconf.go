package engines

import (
	"crypto/rand"
	"fmt"
	"os"
	"strings"
	"time"
)

// clusterName is what the accounting calls the cluster.
const clusterName = "longhaul"

// configure makes the cluster's directories, key and slurm.conf.
func (s *Slurm) configure() error {
	dirs := []string{"munge", "state"}
	for i := range s.nodes {
		dirs = append(dirs, fmt.Sprintf("spool.n%d", i+1))
	}
	for _, dir := range dirs {
		if err := os.MkdirAll(s.path(dir), 0o755); err != nil {
			return err
		}
	}
	key := make([]byte, 128)
	rand.Read(key) // never fails
	if err := os.WriteFile(s.path("munge", "key"), key, 0o600); err != nil {
		return err
	}
	return os.WriteFile(s.path("slurm.conf"), []byte(s.conf()), 0o644)
}

// conf is slurm.conf: no cgroups, several nodes on one host with more CPUs
// than it has, everything looked at each second.
func (s *Slurm) conf() string {
	var b strings.Builder
	set := func(key, format string, args ...any) { fmt.Fprintf(&b, key+"="+format+"\n", args...) }
	set("ClusterName", clusterName)
	set("SlurmctldHost", "%s(127.0.0.1)", s.host)
	set("SlurmctldPort", "%d", s.controller)
	set("SlurmUser", "%s", s.owner)
	set("SlurmdUser", "%s", s.owner)
	set("AuthType", "auth/munge")
	set("CredType", "cred/munge")
	set("AuthInfo", "socket=%s", s.socket())
	set("StateSaveLocation", "%s", s.path("state"))
	set("SlurmdSpoolDir", "%s", s.path("spool.%n"))
	set("SlurmctldPidFile", "%s", s.path("slurmctld.pid"))
	set("SlurmdPidFile", "%s", s.path("slurmd.%n.pid"))
	set("ProctrackType", "proctrack/linuxproc")
	set("TaskPlugin", "task/none")
	set("JobAcctGatherType", "jobacct_gather/linux")
	set("JobAcctGatherFrequency", "task=1")
	set("JobAcctGatherParams", "OverMemoryKill")
	set("MpiDefault", "none")
	set("SwitchType", "switch/none")
	set("SchedulerType", "sched/backfill")
	set("SchedulerParameters", "batch_sched_delay=0,sched_interval=1,bf_interval=1,sched_min_interval=0")
	set("SelectType", "select/cons_tres")
	set("SelectTypeParameters", "CR_CPU_Memory")
	set("DefMemPerCPU", "100") // MiB
	set("SlurmdParameters", "config_overrides")
	set("ReturnToService", "2")
	set("SlurmdTimeout", "%d", seconds(s.opt.NodeTimeout))
	set("KillWait", "1")
	set("CompleteWait", "0")
	set("MinJobAge", "%d", seconds(s.opt.MinJobAge))
	if s.opt.Accounting {
		set("AccountingStorageType", "accounting_storage/slurmdbd")
		set("AccountingStorageHost", "127.0.0.1")
		set("AccountingStoragePort", "%d", s.dbdPort)
		// On this link the socket is not that of AuthInfo.
		set("AccountingStoragePass", "%s", s.socket())
	}
	for _, line := range s.opt.Settings {
		b.WriteString(line + "\n")
	}
	for i, port := range s.nodePorts {
		fmt.Fprintf(&b, "NodeName=n%d NodeHostname=%s NodeAddr=127.0.0.1 Port=%d CPUs=%d RealMemory=2000\n", i+1, s.host, port, s.opt.CPUs)
	}
	b.WriteString("PartitionName=main Nodes=ALL Default=YES DefaultTime=60 MaxTime=7-0 State=UP\n")
	b.WriteString("PartitionName=short Nodes=ALL DefaultTime=1 MaxTime=1 State=UP\n")
	b.WriteString("PartitionName=closed Nodes=ALL State=DOWN\n")
	return b.String()
}

// configureAccounting makes slurmdbd.conf, which must be its owner's alone.
func (s *Slurm) configureAccounting() error {
	var b strings.Builder
	for _, kv := range [][2]string{
		{"AuthType", "auth/munge"},
		{"AuthInfo", "socket=" + s.socket()},
		{"DbdHost", "localhost"},
		{"DbdAddr", "127.0.0.1"},
		{"DbdPort", fmt.Sprint(s.dbdPort)},
		{"SlurmUser", s.owner},
		{"PidFile", s.path("slurmdbd.pid")},
		{"StorageType", "accounting_storage/mysql"},
		{"StorageHost", s.mariadb.Host},
		{"StoragePort", fmt.Sprint(s.mariadb.Port)},
		{"StorageUser", s.mariadb.User},
		{"StoragePass", s.mariadb.Password},
		{"StorageLoc", "slurm_acct"},
	} {
		b.WriteString(kv[0] + "=" + kv[1] + "\n")
	}
	return os.WriteFile(s.path("slurmdbd.conf"), []byte(b.String()), 0o600)
}

// seconds is how Slurm's settings count time.
func seconds(d time.Duration) int { return int(d / time.Second) }
