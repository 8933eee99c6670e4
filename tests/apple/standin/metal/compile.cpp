// tests/apple/standin/metal/compile.cpp -- hands a library's source to the emulator's compiler
#include <fcntl.h>
#include <spawn.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>

#include "standin/debug/report.h"
#include "standin/metal/library.h"

// build_runtime.py says where the emulator and the Python that runs its compiler are; NHWC_STANDIN_COMPILE and
// NHWC_STANDIN_PYTHON override it. NHWC_EMULATOR_MODE is the mode of compile.py.

extern char** environ;

namespace standin {
namespace {

std::string setting(const char* variable, const char* otherwise) {
  const char* value = std::getenv(variable);
  return value && *value ? value : otherwise;
}

/// Runs a command; its output and its errors.
int run(const std::vector<std::string>& command, std::string* output, std::string* errors) {
  int pipes[2][2];
  if (pipe2(pipes[0], O_CLOEXEC) || pipe2(pipes[1], O_CLOEXEC)) return -1;
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, pipes[0][1], 1);
  posix_spawn_file_actions_adddup2(&actions, pipes[1][1], 2);
  std::vector<char*> arguments;
  for (const std::string& word : command) arguments.push_back(const_cast<char*>(word.c_str()));
  arguments.push_back(nullptr);
  pid_t child = 0;
  const int failed = posix_spawnp(&child, arguments[0], &actions, nullptr, arguments.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  close(pipes[0][1]);
  close(pipes[1][1]);
  // Output is one line and fits a pipe, so it can wait until the errors have ended.
  std::string* const texts[] = {errors, output};
  for (int i : {0, 1}) {
    const int from = pipes[1 - i][0];
    char bytes[4096];
    for (ssize_t n; (n = read(from, bytes, sizeof bytes)) > 0;) texts[i]->append(bytes, static_cast<size_t>(n));
    close(from);
  }
  int status = -1;
  if (failed) {
    *errors = "cannot run " + command[0];
  } else {
    waitpid(child, &status, 0);
  }
  return status;
}

/// A file of its own with that text; its path.
std::string write_source(const std::string& source) {
  std::string path = setting("TMPDIR", "/tmp") + "/nhwc-library-XXXXXX.metal";
  const int file = mkstemps(path.data(), 6);
  if (file < 0) return "";
  for (size_t at = 0; at < source.size();) {
    const ssize_t n = write(file, source.data() + at, source.size() - at);
    if (n <= 0) break;
    at += static_cast<size_t>(n);
  }
  close(file);
  return path;
}

}  // namespace

emu_module* compile_module(const std::string& source, std::string* error) {
  const std::string path = write_source(source);
  std::string output, errors;
  const int status = run({setting("NHWC_STANDIN_PYTHON", NHWC_STANDIN_PYTHON_PATH),
                          setting("NHWC_STANDIN_COMPILE", NHWC_STANDIN_COMPILE_PATH), path, "--mode",
                          setting("NHWC_EMULATOR_MODE", "plain")},
                         &output, &errors);
  unlink(path.c_str());
  if (status != 0) {
    *error = errors;
    // The name of a file that is gone helps nobody.
    for (size_t at; (at = error->find(path)) != std::string::npos;) error->replace(at, path.size(), "program_source");
    return nullptr;
  }
  while (!output.empty() && output.back() == '\n') output.pop_back();
  emu_module* module = nullptr;
  emu_error problem{};
  if (emu_open(output.c_str(), &module, &problem) != EMU_OK) {
    *error = problem.text;
    return nullptr;
  }
  return module;
}

}  // namespace standin
