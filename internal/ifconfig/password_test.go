package ifconfig

import (
	"bytes"
	"encoding/gob"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
)

// No way of printing what holds a password prints it.
func TestPasswordHidden(t *testing.T) {
	const secret = "lanpasswd"
	cmd, err := ParseCommand([]string{"carp1", "vhid", "1", "pass", secret})
	if err != nil {
		t.Fatal(err)
	}
	host, err := Config{}.With(cmd.Name, cmd.Changes)
	if err != nil || string(host.Carp[0].Pass) != secret {
		t.Fatalf("%v", err)
	}
	var text, js, bin bytes.Buffer
	for _, v := range []any{host.Carp[0].Pass, cmd.Changes[1], cmd, host, &host, host.Carp[0], CarpStatus{CarpInterface: host.Carp[0]}} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
			fmt.Fprintf(&text, verb+"\n", v)
		}
		slog.New(slog.NewTextHandler(&text, nil)).Info("x", "v", v)
		slog.New(slog.NewJSONHandler(&js, nil)).Info("x", "v", v)
		b, err := json.Marshal(v)
		if err != nil && !strings.Contains(err.Error(), "unsupported") {
			t.Errorf("%T: %v", v, err)
		}
		js.Write(b)
	}
	fmt.Fprintln(&text, cmd.Changes[1].String(), host.Carp[0].Pass.String())
	if err := gob.NewEncoder(&bin).Encode(host.Carp[0].Pass); err != nil {
		t.Error(err)
	}
	for name, out := range map[string]*bytes.Buffer{"text": &text, "JSON": &js, "gob": &bin} {
		if strings.Contains(out.String(), secret) || strings.Contains(out.String(), fmt.Sprintf("%x", secret)) {
			t.Errorf("%s shows it:\n%s", name, out)
		}
		if !strings.Contains(out.String(), redacted) {
			t.Errorf("%s shows no placeholder:\n%s", name, out)
		}
	}
	if have := cmd.Changes[1].String(); have != "pass [secret]" {
		t.Errorf("String: %s", have)
	}
}

// String is for logs and plans.
func TestChangeString(t *testing.T) {
	changes, err := ParseHostname("carp1", "vhid 1 descr 'the LAN'\n!echo 'x'\nstate master\ninet alias 10.0.0.1/24\n")
	if err != nil {
		t.Fatal(err)
	}
	want := "[vhid 1 description 'the LAN' !echo 'x' state master inet alias 10.0.0.1 netmask 0xffffff00 broadcast 10.0.0.255]"
	if have := fmt.Sprint(changes); have != want {
		t.Errorf("%s, want %s", have, want)
	}
}
