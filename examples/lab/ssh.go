//go:build linux

package main

import (
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/gocarp/gocarp/internal/labnet"
)

// sshdConfig is for a host that nobody else can reach, and for this run only.
const sshdConfig = `Port 22
HostKey %[1]s/host
AuthorizedKeysFile %[1]s/client.pub
PidFile none
StrictModes no
UsePAM no
PermitRootLogin yes
PasswordAuthentication no
PrintMotd no
`

// sshdScript has sshd(8) find the directory that it wants to be there, /run/sshd,
// without making it on this machine. It takes: path of sshd, its configuration.
const sshdScript = `mount -t tmpfs none /run && mkdir -m 755 /run/sshd && exec %s -D -e -f %s`

// An sshServer is a real sshd on a host, with keys of its own.
type sshServer struct {
	dir     string
	process *daemon
}

// serveSSH starts one. Its files go to dir.
func serveSSH(h *labnet.Host, dir string) (*sshServer, error) {
	sshd, err := lookTool("sshd")
	if err != nil {
		return nil, err
	}
	config := filepath.Join(dir, "sshd_config")
	if err := write(dir, file{"sshd_config", fmt.Sprintf(sshdConfig, dir)}); err != nil {
		return nil, err
	}
	for _, key := range []string{"host", "client"} {
		cmd := exec.Command("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", filepath.Join(dir, key))
		if out, err := cmd.CombinedOutput(); err != nil {
			return nil, fmt.Errorf("ssh-keygen: %w: %s", err, out)
		}
	}
	cmd := exec.Command("unshare", "--mount", "sh", "-c", fmt.Sprintf(sshdScript, sshd, config))
	process, err := startDaemon(h, dir, "sshd", cmd)
	return &sshServer{dir, process}, err
}

// close ends the server.
func (s *sshServer) close() error {
	s.process.kill()
	return nil
}

// dial opens a session that types into cat(1) on the other side.
func (s *sshServer) dial(h *labnet.Host, addr string) (*session, error) {
	cmd := exec.Command("ssh", "-F", "none", "-T", "-i", filepath.Join(s.dir, "client"),
		"-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR",
		"-o", "ConnectTimeout=10", "-o", "BatchMode=yes", "root@"+addr, "cat")
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := h.Start(cmd); err != nil {
		return nil, err
	}
	c := &sshConn{cmd: cmd, in: stdin, out: stdout}
	begun := time.Now()
	session := newSession("SSH", c)
	for end := begun.Add(dialTimeout); !session.alive(begun); time.Sleep(10 * time.Millisecond) {
		if err := session.failed(); err != nil || time.Now().After(end) {
			session.close()
			return nil, fmt.Errorf("ssh to %s: no session within %v: %v", addr, dialTimeout, err)
		}
	}
	return session, nil
}

// An sshConn is an ssh(1) that runs.
type sshConn struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out io.ReadCloser
}

func (c *sshConn) Read(b []byte) (int, error)  { return c.out.Read(b) }
func (c *sshConn) Write(b []byte) (int, error) { return c.in.Write(b) }

// Close ends it, whether the other side answers or not.
func (c *sshConn) Close() error {
	c.cmd.Process.Kill()
	c.cmd.Wait() // it was killed, which is an error
	return nil
}
