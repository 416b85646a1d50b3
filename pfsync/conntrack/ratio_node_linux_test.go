package conntrack

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	ossignal "os/signal"
	"runtime/debug"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gocarp/gocarp/pfsync"
	"github.com/gocarp/gocarp/pfsync/pfsyncnet"
)

// ratioEnv makes the test binary one of our two nodes: its number and the policy.
const ratioEnv = "GOCARP_TEST_RATIO"

func TestMain(m *testing.M) {
	if node := os.Getenv(ratioEnv); node != "" {
		if err := ratioNode(node); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// ratioNode keeps the table of its namespace the same as the other node's until
// SIGTERM, with what package main of examples/firewall has for that if it is told
// to converge, as conntrackd's FTFW does in its way.
func ratioNode(env string) error {
	debug.SetGCPercent(3) // as package main does
	node, policy, _ := strings.Cut(env, " ")
	ctx, stop := ossignal.NotifyContext(context.Background(), unix.SIGTERM)
	defer stop()
	self, peer := netip.MustParseAddr("10.9.9.1"), netip.MustParseAddr("10.9.9.2")
	id := uint32(0xa1)
	if node == "2" {
		self, peer, id = peer, self, 0xa2
	}
	c := TableConfig{
		Memory: pfsync.MemoryConfig{Limit: 1 << 20}, HostID: id,
		Addrs: func() ([]netip.Addr, error) { return []netip.Addr{self}, nil },
	}
	if policy == Hold.String() {
		c.Policy = Hold
	}
	table, err := OpenTable(c)
	if err != nil {
		return err
	}
	port, err := pfsyncnet.Listen(pfsyncnet.Config{Interface: "sync", Peers: []netip.Addr{peer}})
	if err != nil {
		return err
	}
	side, err := pfsyncnet.ListenSide(pfsyncnet.SideConfig{Interface: "sync"})
	if err != nil {
		return err
	}
	n, err := pfsync.NewNode(pfsync.NodeConfig{
		Session: pfsync.Config{
			HostID: id, Flush: 2 * time.Millisecond, Bulk: pfsync.BulkConfig{Interval: -1},
		},
		Store: table, Transport: port, Peers: []netip.Addr{peer}, Links: port.Links(),
		Side: side, Converge: pfsync.ConvergeConfig{Peers: []netip.Addr{peer}},
	})
	if err != nil {
		return err
	}
	table.SetSink(n)
	go answer(ctx, table)
	go func() { // tells the table when the peer has told all
		for {
			if s, err := n.Status(ctx); err != nil || s.SyncOK {
				table.Adopted()
				return
			}
			time.Sleep(100 * time.Millisecond)
		}
	}()
	failed := make(chan error, 2)
	go func() { failed <- n.Run(ctx) }()
	go func() { failed <- table.Run(ctx) }()
	err = <-failed
	stop()
	return errors.Join(err, <-failed)
}

// answer does what a node is asked for on its standard input.
func answer(ctx context.Context, table *Table) {
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		switch in.Text() {
		case "have":
			fmt.Println(table.Len() / 2) // two states make a connection
		case "commit":
			fmt.Println(table.Commit(ctx))
		}
	}
}

// ours is our node with a policy.
func ours(policy Policy) contestant {
	return contestant{"ours", func(p *ratioPair, i int) *daemon {
		cmd := exec.Command("/proc/self/exe")
		cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%d %v", ratioEnv, i+1, policy))
		cmd.Stderr = os.Stderr
		in, err := cmd.StdinPipe()
		if err != nil {
			p.t.Fatal(err)
		}
		out, err := cmd.StdoutPipe()
		if err != nil {
			p.t.Fatal(err)
		}
		answers := bufio.NewReader(out)
		p.kern[i].ns.Start(cmd)
		ask := func(what string) (string, error) {
			if _, err := fmt.Fprintln(in, what); err != nil {
				return "", err
			}
			text, err := answers.ReadString('\n')
			return strings.TrimSpace(text), err
		}
		return &daemon{
			cmd:  cmd,
			have: func() (string, error) { return ask("have") },
			commit: func() error {
				if text, err := ask("commit"); err != nil || text != "<nil>" {
					return fmt.Errorf("commit: %s, %w", text, err)
				}
				return nil
			},
		}
	}}
}
