# Run by cpack on the folder that it packs.

# The changelog in Debian's form. What changed is told by CHANGELOG.md.
string(TIMESTAMP date "%a, %d %b %Y %H:%M:%S +0000" UTC)  # SOURCE_DATE_EPOCH, where it is set
set(folder ${CPACK_TEMPORARY_INSTALL_DIRECTORY}${CPACK_PACKAGING_INSTALL_PREFIX}/share/doc/kubenatd)
file(WRITE ${folder}/changelog
     "kubenatd (${CPACK_PACKAGE_VERSION}) unstable; urgency=medium\n\n  * Release ${CPACK_PACKAGE_VERSION}.\n\n"
     " -- ${CPACK_PACKAGE_CONTACT}  ${date}\n")
file(GLOB pages ${folder}/../../man/man8/*.8)
execute_process(COMMAND gzip --best --no-name ${folder}/changelog ${pages} COMMAND_ERROR_IS_FATAL ANY)

# Modes do not depend on who packs.
set(all OWNER_READ GROUP_READ WORLD_READ OWNER_EXECUTE GROUP_EXECUTE WORLD_EXECUTE OWNER_WRITE)
file(CHMOD_RECURSE ${CPACK_TEMPORARY_INSTALL_DIRECTORY}${CPACK_PACKAGING_INSTALL_PREFIX}
     ${CPACK_TEMPORARY_INSTALL_DIRECTORY}/etc DIRECTORY_PERMISSIONS ${all}
     FILE_PERMISSIONS OWNER_READ GROUP_READ WORLD_READ OWNER_WRITE)
file(CHMOD ${CPACK_TEMPORARY_INSTALL_DIRECTORY}${CPACK_PACKAGING_INSTALL_PREFIX}/sbin/kubenatd PERMISSIONS ${all})
