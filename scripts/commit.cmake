# Run at each build: writes the commit that is built into a header, and leaves the header alone when it is the same.
#
#   cmake -D SOURCE=FOLDER -D OUTPUT=FILE -P scripts/commit.cmake
#
# "-changed" behind the commit: files that git knows differ from it. Without git both texts are empty.
execute_process(COMMAND git -C ${SOURCE} log -1 "--format=%H;%ct" OUTPUT_VARIABLE commit OUTPUT_STRIP_TRAILING_WHITESPACE
                RESULT_VARIABLE failed ERROR_QUIET)
set(hash)
set(date)
if(NOT failed)
  list(GET commit 0 hash)
  list(GET commit 1 time)
  execute_process(COMMAND git -C ${SOURCE} diff-index --quiet HEAD -- RESULT_VARIABLE changed ERROR_QUIET)
  if(changed)
    string(APPEND hash "-changed")
  endif()
  set(ENV{SOURCE_DATE_EPOCH} ${time})
  string(TIMESTAMP date "%Y-%m-%dT%H:%M:%SZ" UTC)
endif()
set(text "#define KUBENATD_COMMIT \"${hash}\"\n#define KUBENATD_COMMIT_DATE \"${date}\"\n")
set(before)
if(EXISTS ${OUTPUT})
  file(READ ${OUTPUT} before)
endif()
if(NOT text STREQUAL before)
  file(WRITE ${OUTPUT} "${text}")
endif()
