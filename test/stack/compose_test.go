package stack_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/automation-infra/automation-infra/client"
	"github.com/automation-infra/automation-infra/store/storetest"
)

// patience is how long anything may take that happens by itself; a machine under load is slow.
const patience = time.Minute

// stack is the services as Compose runs them, in a project of their own.
type stack struct {
	project    string
	files      []string // of Compose; none for the usual
	env        []string
	url        string // of the gateway
	prometheus string
}

// newStack returns a stack that is not up yet, on free ports of this machine alone.
func newStack(t *testing.T, name string, env ...string) *stack {
	t.Helper()
	gateway, prometheus := freePort(t), freePort(t)
	s := &stack{
		project: os.Getenv("COMPOSE_PROJECT_NAME") + name,
		url:     "http://127.0.0.1:" + gateway, prometheus: "http://127.0.0.1:" + prometheus,
	}
	s.env = []string{
		"COMPOSE_PROJECT_NAME=" + s.project, "TAG=test", "GATEWAY_BIND=127.0.0.1", "GATEWAY_PORT=" + gateway,
		"PROMETHEUS_PORT=" + prometheus, "PUBLIC_URL=" + s.url,
	}
	s.env = append(s.env, env...)
	t.Cleanup(func() {
		if t.Failed() {
			s.tail(t)
		}
	})
	return s
}

// tail shows the last that the services have said.
func (s *stack) tail(t *testing.T) {
	t.Helper()
	for _, service := range []string{"gateway", "allocator", "keepalive", "redis"} {
		args := []string{"ps", "-aq", "--filter", "label=com.docker.compose.project=" + s.project, "--filter", "label=com.docker.compose.service=" + service}
		ids, _ := try(context.Background(), nil, append([]string{"docker"}, args...)...)
		for _, id := range strings.Fields(ids) {
			said, _ := try(context.Background(), nil, "sh", "-c", "docker logs --tail 30 "+id+" 2>&1")
			t.Logf("%s %s:\n%s", service, id, said)
		}
	}
}

func freePort(t *testing.T) string {
	t.Helper()
	_, port, _ := net.SplitHostPort(storetest.FreeAddr(t))
	return port
}

// compose runs a command of Compose in the checkout.
func (s *stack) compose(t *testing.T, args ...string) {
	t.Helper()
	command := strings.Fields(os.Getenv("COMPOSE"))
	for _, file := range s.files {
		command = append(command, "-f", file)
	}
	run(t, s.env, append(command, args...)...)
}

// up creates what is missing and starts it. Compose takes the scale of what is not named from the settings.
func (s *stack) up(t *testing.T, scale ...string) {
	t.Helper()
	args := []string{"up", "-d"}
	for _, service := range scale {
		args = append(args, "--scale", service)
	}
	s.compose(t, args...)
}

// containers returns the ids of the containers of a service, or of all, that run.
func (s *stack) containers(t *testing.T, service ...string) []string {
	t.Helper()
	args := []string{"ps", "-q", "--no-trunc", "--filter", "label=com.docker.compose.project=" + s.project}
	for _, name := range service {
		args = append(args, "--filter", "label=com.docker.compose.service="+name)
	}
	ids := strings.Fields(docker(t, args...))
	slices.Sort(ids)
	return ids
}

// only returns the id of the one container of a service.
func (s *stack) only(t *testing.T, service string) string {
	t.Helper()
	all := s.containers(t, service)
	if len(all) != 1 {
		t.Fatalf("%d containers of %s run, want 1", len(all), service)
	}
	return all[0]
}

// scraped returns the sum of the samples that a container of ours shows with this name and these labels.
func scraped(t *testing.T, container, port, sample string) float64 {
	t.Helper()
	var sum float64
	for line := range strings.Lines(docker(t, "exec", container, "wget", "-q", "-O", "-", "http://127.0.0.1:"+port+"/metrics")) {
		if strings.HasPrefix(line, sample) {
			var value float64
			if _, err := fmt.Sscan(line[strings.LastIndexByte(line, ' '):], &value); err != nil {
				t.Fatalf("%q: %v", line, err)
			}
			sum += value
		}
	}
	return sum
}

// client returns a client of the gateway.
func (s *stack) client(t *testing.T, o client.Options) *client.Client {
	t.Helper()
	c, err := client.New(s.url, o)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func docker(t *testing.T, args ...string) string {
	t.Helper()
	return run(t, nil, append([]string{"docker"}, args...)...)
}

// inspect reads what the engine knows of containers or images into a list.
func inspect(t *testing.T, into any, things ...string) {
	t.Helper()
	if err := json.Unmarshal([]byte(docker(t, append([]string{"inspect"}, things...)...)), into); err != nil {
		t.Fatal(err)
	}
}

// run runs a command in the checkout, with this beside our environment, and returns its stdout.
func run(t *testing.T, env []string, command ...string) string {
	t.Helper()
	out, err := try(t.Context(), env, command...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func try(ctx context.Context, env []string, command ...string) (string, error) {
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	var stdout, stderr bytes.Buffer
	cmd.Dir, cmd.Env = os.Getenv("TEST_STACK"), append(os.Environ(), env...)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return stdout.String(), fmt.Errorf("%s: %w\n%s%s", strings.Join(command, " "), err, &stdout, &stderr)
	}
	return stdout.String(), nil
}

// eventually waits until a condition holds, which says why it does not.
func eventually(t *testing.T, what string, condition func() error) {
	t.Helper()
	var err error
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); <-tick.C {
		if err = condition(); err == nil {
			return
		}
	}
	t.Fatalf("%s: not in %s: %v", what, patience, err)
}
