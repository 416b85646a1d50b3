package main

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/gocarp/gocarp/internal/cli"
	"github.com/gocarp/gocarp/internal/netns"
)

// Each mistake in [wan] is named with file, line and word, and nothing has begun.
func TestWrongWAN(t *testing.T) {
	lab := netns.New(t, "fw")
	lab.Bridge("em0", "fw")
	lab.Bridge("em1", "fw")
	lab.Bridge("em2", "fw")
	lab.NS("fw").Addr("em0", "172.16.0.1/24")
	const good = "[wan]\ninterface = \"em2\"\n"
	const client = good + "client = [\"sh\"]\n"
	for _, tt := range []struct{ name, toml, want string }{
		{"key", good + "clients = \"udhcpc\"", `firewall.toml:3: word "wan.clients": expected one of interface, lladdr`},
		{"no interface", "[wan]\n\nwait = 3", `firewall.toml:3: word "wan.wait": expected interface in [wan] as well`},
		{"unknown interface", "[wan]\ninterface = \"em9\"\nclient = [\"sh\"]", `firewall.toml:2: word "wan.interface": there is no interface em9`},
		{"no Ethernet", "[wan]\ninterface = \"lo\"\nclient = [\"sh\"]", `firewall.toml:2: word "wan.interface": expected an Ethernet interface, which lo is not`},
		{"carpdev", "[wan]\ninterface = \"em0\"\nclient = [\"sh\"]", `firewall.toml:2: word "wan.interface": expected an interface of its own: em0 is the carpdev of carp1`},
		{"syncdev", "[wan]\ninterface = \"em1\"\nclient = [\"sh\"]", `firewall.toml:2: word "wan.interface": expected an interface of its own: em1 is the syncdev of pfsync0`},
		{"multicast lladdr", client + "lladdr = \"03:00:5e:00:53:01\"", `firewall.toml:4: word "wan.lladdr": expected the address of one Ethernet interface`},
		{"short lladdr", client + "lladdr = \"02:00:5e\"", `firewall.toml:4: word "wan.lladdr": expected the address of one Ethernet interface`},
		{"follow", client + "follow = \"em0\"", `firewall.toml:4: word "wan.follow": expected the name of a carp interface`},
		{"follow nothing", client + "follow = \"carp7\"", `firewall.toml:4: word "wan.follow": expected a carp interface that it follows: there is no hostname.carp7`},
		{"no client", good + "lladdr = \"02:00:5e:00:53:01\"", `firewall.toml:2: word "wan.interface": expected a client or an address as well`},
		{"no client said", good + "client = \"none\"", `firewall.toml:3: word "wan.client": expected an address as well`},
		{"unknown client", good + "client = \"pump\"", `firewall.toml:3: word "wan.client": expected "udhcpc", "dhclient", "dhcpcd", "none", or a command`},
		{"client not there", good + "client = [\"no-such-client\"]", `firewall.toml:3: word "wan.client": no-such-client cannot be run: executable file not found`},
		{"empty client", good + "client = []", `firewall.toml:3: word "wan.client": expected "udhcpc"`},
		{"client and address", client + "address = \"192.0.2.2/24\"", `firewall.toml:4: word "wan.address": expected none: the client finds it`},
		{"client and gateway", client + "gateway = \"192.0.2.2\"", `firewall.toml:4: word "wan.gateway": expected none: the client finds it`},
		{"address", good + "address = \"192.0.2.2\"", `firewall.toml:3: word "wan.address": expected an IPv4 address with its network`},
		{"accept-ra", client + "accept-ra = 2", `firewall.toml:4: word "wan.accept-ra": expected true or false`},
		{"gateway", good + "address = \"192.0.2.2/24\"\ngateway = \"192.0.3.1\"", `firewall.toml:4: word "wan.gateway": expected it in the network of 192.0.2.2/24`},
		{"confirm", client + "confirm = 61", `firewall.toml:4: word "wan.confirm": expected seconds, 0 to 60`},
		{"wait", client + "wait = 0", `firewall.toml:4: word "wan.wait": expected seconds, 1 to 60`},
		{"demote", client + "demote = 256", `firewall.toml:4: word "wan.demote": expected a number, 0 to 255`},
		{"without-peer", client + "without-peer = \"down\"", `firewall.toml:4: word "wan.without-peer": expected "up" or "stay-down"`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := files(t, map[string]string{
				"hostname.carp1": "vhid 1 carpdev em0 pass lanpasswd 172.16.0.100/24\n", "hostname.pfsync0": "up syncdev em1\n", settingsFile: tt.toml + "\n",
			})
			for _, dry := range []string{"", "-n"} {
				var code int
				var stdout, stderr string
				lab.NS("fw").Do(func() {
					code, stdout, stderr = firewall(t, strings.Fields("run -C "+dir+" -s "+filepath.Join(t.TempDir(), "s")+" "+dry)...)
				})
				if code != cli.Usage || stdout != "" || !strings.HasPrefix(stderr, "firewall: "+tt.want) || strings.Count(stderr, "\n") != 1 {
					t.Errorf("%s: exit %d, stdout %q, stderr:\n%swant %s", dry, code, stdout, stderr, tt.want)
				}
			}
		})
	}
}

// TestWANPlan: -n says what would be done.
func TestWANPlan(t *testing.T) {
	lab := netns.New(t, "fw")
	lab.Bridge("em0", "fw")
	lab.Bridge("em2", "fw")
	lab.NS("fw").Addr("em0", "172.16.0.1/24")
	before := lab.NS("fw").IP("-o link")
	dir := files(t, map[string]string{
		"hostname.carp1": "vhid 1 carpdev em0 pass lanpasswd 172.16.0.100/24\n",
		settingsFile:     "[wan]\ninterface = \"em2\"\nlladdr = \"02:00:5e:00:53:01\"\nclient = [\"sh\", \"%i\"]\nwait = 4\ndemote = 9\n",
	})
	var code int
	var stdout, stderr string
	lab.NS("fw").Do(func() { code, stdout, stderr = firewall(t, "run", "-C", dir, "-n") })
	const want = `em2: up on the master of carp1 only, with 02:00:5e:00:53:01, its address by ["sh" "em2"], and IPv6 from the routers there
	once the other host says that its own is down; without an answer 4s after a master left, 1s after one fell silent
	demoted by 9 if there is no carrier or no address
`
	if code != cli.OK || !strings.Contains(stdout, want) || !strings.Contains(stderr, "[wan] without [peer]: nobody says when") {
		t.Errorf("exit %d, stdout:\n%sstderr:\n%s", code, stdout, stderr)
	}
	if after := lab.NS("fw").IP("-o link"); after != before {
		t.Errorf("the interfaces were\n%sand are\n%s", before, after)
	}
}
