//go:build unix

package main

import (
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/goccy/go-yaml"
)

// anyFailure stands for every exit code but 0.
const anyFailure = -1

// ciSystems are the CI systems of docs/ci.md, each with a file of it and a lab of its own.
var ciSystems = map[string]func(*testing.T) *ciSystem{
	"GitHub Actions": func(t *testing.T) *ciSystem { return openGitHub(t, "device-tests.yml") },
	"GitHub Actions with exit codes": func(t *testing.T) *ciSystem {
		s := openGitHub(t, "device-tests.yml")
		s.steps = append(s.steps[:len(s.steps)-1], gitHubSteps(t, s, []byte(ciBlock(t, "yaml", "This is the last step then:")))...)
		s.priority, s.heard, s.insists, s.cancelled, s.noDevice, s.lost, s.again = 5, "TERM\n", "TERM\nTERM\n", 143, 0, 0, true
		return s
	},
	"GitHub Actions in steps": func(t *testing.T) *ciSystem {
		s := openGitHub(t, "device-steps.yml")
		s.priority, s.unguarded, s.lost = 5, true, anyFailure
		return s
	},
	"GitLab CI, shell executor": func(t *testing.T) *ciSystem {
		s := openGitLab(t, "bash")
		s.cancel = func(t *testing.T, b *ciBuild) { b.signal(t, -b.step().Process.Pid, syscall.SIGTERM) }
		return s
	},
	"GitLab CI, Docker executor": func(t *testing.T) *ciSystem { return openGitLab(t, "sh") },
	"Jenkins":                    openJenkins,
}

// ciSystem is a CI system with a job for it.
type ciSystem struct {
	*lab
	fakes  string            // a directory of commands
	env    map[string]string // what the system sets
	marker string            // the variable of it that only this job has
	steps  []ciStep

	holder, purpose, link string // what people are to see
	priority              int
	installs              bool                       // whether the job installs leasectl
	unguarded             bool                       // whether the tests don't run under leasectl
	again                 bool                       // whether the job tries again when it has lost its lease
	cancel                func(*testing.T, *ciBuild) // how the system begins to cancel
	heard, insists        string                     // the signals that the tests hear then, and when TERM follows
	cancelled             int                        // the exit code then
	noDevice, lost        int                        // the exit codes of no device in time, and of a lost lease
}

// ciStep is one shell of a job.
type ciStep struct {
	argv   []string // the shell, to which the name of the script is added
	script string
	env    map[string]string
	id     string
	always string // the id of the step after whose success it is run, whatever happened since
}

// newCISystem is a system without steps.
func newCISystem(t *testing.T) *ciSystem {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("SKIPPED: where there is no /proc, the processes of a job are not found")
	}
	dir := t.TempDir()
	l, err := openCILab(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.close)
	fakes, err := filepath.Abs("testdata/ci")
	if err != nil {
		t.Fatal(err)
	}
	leasectl, err := exec.LookPath("leasectl")
	if err != nil {
		t.Fatal(err)
	}
	path := slices.DeleteFunc(filepath.SplitList(getenv(t, "PATH")), func(d string) bool { return d == filepath.Dir(leasectl) })
	return &ciSystem{
		lab: l, fakes: fakes, marker: "WORKSPACE=" + dir, heard: "TERM\n", cancelled: anyFailure, noDevice: 75, lost: 76, priority: 9,
		env: map[string]string{
			"PATH": strings.Join(append([]string{fakes}, path...), string(filepath.ListSeparator)), "HOME": dir, "LEASECTL": leasectl,
			"LEASES_URL": l.url, "WORKSPACE": dir, "CI": "true",
		},
		cancel: func(t *testing.T, b *ciBuild) {
			for _, pid := range processes(t, b.marker) {
				_ = syscall.Kill(pid, syscall.SIGTERM) // it may have ended
			}
		},
	}
}

// openGitHub is GitHub Actions with a workflow of the document.
func openGitHub(t *testing.T, file string) *ciSystem {
	t.Helper()
	if _, err := exec.LookPath("bash"); err != nil {
		t.Skip("SKIPPED without bash: GitHub Actions")
	}
	s := newCISystem(t)
	var workflow struct {
		Name        string
		On          []string
		Permissions map[string]string
		Jobs        map[string]struct {
			RunsOn  []string `yaml:"runs-on"`
			Timeout int      `yaml:"timeout-minutes"`
			Env     map[string]string
			Steps   yaml.RawMessage
		}
	}
	decodeCI(t, []byte(ciBlock(t, "yaml", "`.github/workflows/"+file+"`")), &workflow)
	job := workflow.Jobs["device-tests"]
	for name, value := range job.Env {
		s.env[name] = s.evaluate(t, value)
	}
	for name, value := range map[string]string{
		"GITHUB_ACTIONS": "true", "GITHUB_ACTOR": "renovate[bot]", "GITHUB_REPOSITORY": "acme/firmware", "GITHUB_JOB": "device-tests",
		"GITHUB_SERVER_URL": "https://github.com", "GITHUB_RUN_ID": "6543210", "GITHUB_REF": "refs/heads/release/" + nasty,
		"GITHUB_REF_NAME": "release/" + nasty, "GITHUB_WORKSPACE": s.dir, "RUNNER_TEMP": filepath.Join(s.dir, "_temp"),
		"GITHUB_ENV": filepath.Join(s.dir, "github_env"), "GITHUB_PATH": filepath.Join(s.dir, "github_path"),
	} {
		s.env[name] = value
	}
	s.steps = gitHubSteps(t, s, job.Steps)
	s.holder, s.purpose, s.link = "renovate[bot]", "acme/firmware device-tests", "https://github.com/acme/firmware/actions/runs/6543210"
	s.installs, s.heard, s.insists, s.cancelled = true, "INT\n", "INT\nTERM\n", 130
	s.cancel = func(t *testing.T, b *ciBuild) { b.signal(t, b.step().Process.Pid, syscall.SIGINT) }
	return s
}

// gitHubSteps are steps with shell in them.
func gitHubSteps(t *testing.T, s *ciSystem, text []byte) []ciStep {
	t.Helper()
	var all []struct {
		Name, ID, If, Uses, Run string
		Env                     map[string]string
	}
	decodeCI(t, text, &all)
	var steps []ciStep
	for _, one := range all {
		if one.Run == "" {
			continue
		}
		if strings.Contains(one.Run, "${{") {
			t.Errorf("there is an expression in the script of %q", one.Name)
		}
		step := ciStep{argv: []string{"bash", "-e"}, script: one.Run, id: one.ID, env: map[string]string{}}
		if one.If != "" {
			match := regexp.MustCompile(`^always\(\) && steps\.(\w+)\.outcome == 'success'$`).FindStringSubmatch(one.If)
			if match == nil {
				t.Fatalf("if: %s", one.If)
			}
			step.always = match[1]
		}
		for name, value := range one.Env {
			step.env[name] = s.evaluate(t, value)
		}
		steps = append(steps, step)
	}
	return steps
}

// evaluate evaluates the expressions that the document has.
func (s *ciSystem) evaluate(t *testing.T, value string) string {
	t.Helper()
	known := map[string]string{
		"${{ vars.LEASES_URL }}": s.url,
		"${{ startsWith(github.ref, 'refs/heads/release/') && 9 || 5 }}": "9",
	}
	if got, is := known[value]; is {
		return got
	}
	if strings.Contains(value, "${{") {
		t.Fatalf("what is %s?", value)
	}
	return value
}

// openGitLab is GitLab CI with the job of the document, on a release branch. Its runner puts before_script and script into one script.
func openGitLab(t *testing.T, shell string) *ciSystem {
	t.Helper()
	if _, err := exec.LookPath(shell); err != nil {
		t.Skipf("SKIPPED without %s: GitLab CI", shell)
	}
	s := newCISystem(t)
	type codes struct {
		Max       int
		ExitCodes []int `yaml:"exit_codes"`
	}
	var file map[string]struct {
		Tags      []string
		Timeout   string
		Variables map[string]string
		Rules     []struct {
			If, When  string
			Variables map[string]string
		}
		BeforeScript []string `yaml:"before_script"`
		Script       []string
		Retry        codes
		AllowFailure codes `yaml:"allow_failure"`
	}
	decodeCI(t, []byte(ciBlock(t, "yaml", "`.gitlab-ci.yml`")), &file)
	job := file["device-tests"]
	if !slices.Contains(job.AllowFailure.ExitCodes, 75) || !slices.Contains(job.Retry.ExitCodes, 76) {
		t.Errorf("allow_failure %v, retry %v", job.AllowFailure, job.Retry)
	}
	for _, variables := range []map[string]string{job.Variables, job.Rules[0].Variables, {
		"GITLAB_CI": "true", "GITLAB_USER_LOGIN": "alice", "CI_PROJECT_PATH": "acme/firmware", "CI_JOB_NAME": "device-tests",
		"CI_JOB_URL": "https://gitlab.example.com/acme/firmware/-/jobs/77", "CI_COMMIT_BRANCH": "release/" + nasty, "CI_PROJECT_DIR": s.dir,
	}} {
		for name, value := range variables {
			s.env[name] = value
		}
	}
	lines := strings.Join(append(job.BeforeScript, job.Script...), "\n")
	quoted := "'" + strings.ReplaceAll(lines, "'", `'\''`) + "'"
	s.steps = []ciStep{{argv: []string{shell}, script: "trap exit 1 TERM\nif set -o | grep pipefail >/dev/null; then set -o pipefail; fi\n" +
		"set -o errexit\n: | eval " + quoted + "\nexit 0\n"}}
	s.holder, s.purpose, s.link = "alice", "acme/firmware device-tests", "https://gitlab.example.com/acme/firmware/-/jobs/77"
	s.installs = true
	return s
}

// openJenkins is Jenkins with the scripts of the document's pipeline, on a release branch. What is Groovy is not run.
func openJenkins(t *testing.T) *ciSystem {
	t.Helper()
	s := newCISystem(t)
	text := ciBlock(t, "groovy", "`Jenkinsfile`")
	if url := "LEASES_URL = 'http://leases.lab.example.com:8080'"; !strings.Contains(text, url) {
		t.Errorf("there is no %s", url)
	}
	for name, value := range map[string]string{
		"JENKINS_SERVER_COOKIE": "durable-" + s.dir, "JOB_NAME": "firmware/release%2F1.0", "BRANCH_NAME": "release/" + nasty,
		"BUILD_URL": "https://jenkins.example.com/job/firmware/job/release%252F1.0/7/", "BUILD_USER_ID": "alice",
	} {
		s.env[name] = value
	}
	s.marker = "JENKINS_SERVER_COOKIE=durable-" + s.dir
	for _, match := range regexp.MustCompile(`sh '([^'\n]+)'|sh\(returnStatus: true, script: '''(?s:(.*?))'''\)`).FindAllStringSubmatch(text, -1) {
		script := strings.ReplaceAll(match[1]+match[2], "\\\n", "")
		if strings.Contains(script, `\`) {
			t.Errorf("Groovy takes the backslashes out of %s", script)
		}
		s.steps = append(s.steps, ciStep{argv: []string{"sh", "-xe"}, script: script})
	}
	if len(s.steps) != 2 {
		t.Errorf("there are %d scripts", len(s.steps))
	}
	s.holder, s.purpose, s.link = "alice", "firmware/release%2F1.0", "https://jenkins.example.com/job/firmware/job/release%252F1.0/7/"
	s.installs, s.cancelled = true, 143
	return s
}
